"""HTTP itself: routing, middleware, bodies, errors, documents; nothing of pictures."""
