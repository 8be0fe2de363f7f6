// The part of a picture that is painted when only the masked part is: as the server reckons it.

/** A rectangle around `box` with `padding`, in the proportions of `size` where `picture` has room for them. */
export function region(box, padding, size, picture) {
  const left = Math.max(0, box.x - padding), right = Math.min(picture.width, box.x + box.width + padding);
  const top = Math.max(0, box.y - padding), bottom = Math.min(picture.height, box.y + box.height + padding);
  const [x, width] = grown(left, right, rounded((bottom - top) * size.width / size.height), picture.width);
  const [y, height] = grown(top, bottom, rounded(width * size.height / size.width), picture.height);
  return { x, y, width, height };
}

// Halves go to the even number, as the server's do.
function rounded(value) {
  const up = Math.round(value);
  return up - value === 0.5 && up % 2 ? up - 1 : up;
}

function grown(start, end, asked, limit) {
  const wanted = Math.min(Math.max(asked, end - start), limit);
  return [Math.min(Math.max(0, start - Math.floor((wanted - (end - start)) / 2)), limit - wanted), wanted];
}

/** How far a picture really grows: a side that grows takes what is missing to the next multiple, and `most` pixels are not exceeded. */
export function extension(sides, picture, multiple, most) {
  const grow = { left: 0, top: 0, right: 0, bottom: 0 };
  for (const [length, first, last] of [[picture.width, "left", "right"], [picture.height, "top", "bottom"]]) {
    const [before, after] = [first, last].map((side) => Math.max(0, Math.round(sides[side] || 0)));
    if (!before && !after) continue;
    const room = Math.max(0, Math.floor(most / multiple) * multiple - length);
    const added = Math.min(Math.ceil((length + before + after) / multiple) * multiple - length, room);
    grow[first] = Math.min(before, added);
    grow[last] = added - grow[first];
    // What only the first side asked for is all its own.
    if (!after) { grow[first] = added; grow[last] = 0; }
  }
  return grow;
}
