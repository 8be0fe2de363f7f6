"""The stores as statements, whichever database carries them out."""
