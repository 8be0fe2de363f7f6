// Where a picture lies in an area of the screen: a scale and the place of its upper left corner, in CSS pixels of the area. All functions
// give a new view.

export const most = 32;
const margin = 26;

/** As large as fits, in the middle; a small picture no larger than four times. */
export function fitted(area, picture) {
  const scale = Math.max(0.01, Math.min((area.width - 2 * margin) / picture.width, (area.height - 2 * margin) / picture.height, 4));
  return { scale, x: (area.width - picture.width * scale) / 2, y: (area.height - picture.height * scale) / 2 };
}

/** Larger by `factor`, with what is at the point `at` of the area staying there. */
export function zoomed(view, factor, at, least = 0.02) {
  const scale = Math.min(most, Math.max(least, view.scale * factor)), by = scale / view.scale;
  return { scale, x: at.x - (at.x - view.x) * by, y: at.y - (at.y - view.y) * by };
}

export const moved = (view, dx, dy) => ({ ...view, x: view.x + dx, y: view.y + dy });

/** Two fingers: what was between them stays between them. */
export function pinched(view, before, now) {
  const middle = ([a, b]) => ({ x: (a.x + b.x) / 2, y: (a.y + b.y) / 2 });
  const apart = ([a, b]) => Math.hypot(a.x - b.x, a.y - b.y);
  const from = middle(before), to = middle(now);
  return zoomed(moved(view, to.x - from.x, to.y - from.y), apart(before) ? apart(now) / apart(before) : 1, to);
}

/** Moved so that at least a piece of the picture is in sight. */
export function held(view, area, picture, piece = 48) {
  const within = (at, length, room) => Math.min(room - Math.min(piece, length), Math.max(Math.min(piece, length) - length, at));
  return { ...view, x: within(view.x, picture.width * view.scale, area.width), y: within(view.y, picture.height * view.scale, area.height) };
}

export const toPicture = (view, at) => ({ x: (at.x - view.x) / view.scale, y: (at.y - view.y) / view.scale });
export const toArea = (view, at) => ({ x: at.x * view.scale + view.x, y: at.y * view.scale + view.y });
