// Mouse, pen and fingers on the canvas: one finger or the pen draws, two fingers move and zoom; once a pen was there, a finger moves. Space
// or the middle button move with a mouse.

/** Binds an area's pointers to `act`: begin, move, end and cancel of a gesture, pan, pinch, zoom and hover; all with points of the area. */
export function pointers(area, inArea, act) {
  const fingers = new Map();
  let drawing = null, panning = null, hasPen = false, isSpace = false;

  const forget = () => { drawing = panning = null; };
  function begin(event) {
    if (event.button > 1 || event.target.closest("button, a, input")) return;
    event.preventDefault();
    area.focus({ preventScroll: true });
    area.setPointerCapture(event.pointerId);
    const at = inArea(event);
    if (event.pointerType === "pen") hasPen = true;
    if (event.pointerType === "touch") {
      fingers.set(event.pointerId, at);
      if (fingers.size > 1) {
        if (drawing !== null) act.cancel();
        forget();
        return;
      }
    } else if (drawing !== null) return;
    if (event.button === 1 || isSpace || (event.pointerType === "touch" && hasPen) || !act.isDrawing()) panning = { id: event.pointerId, at };
    else {
      drawing = event.pointerId;
      act.begin(at, event);
    }
  }
  function move(event) {
    const at = inArea(event);
    if (fingers.size > 1 && fingers.has(event.pointerId)) {
      const [other] = [...fingers].filter(([id]) => id !== event.pointerId).map(([, place]) => place);
      act.pinch([fingers.get(event.pointerId), other], [at, other]);
    } else if (panning?.id === event.pointerId) {
      act.pan(at.x - panning.at.x, at.y - panning.at.y);
      panning.at = at;
    } else if (drawing === event.pointerId) {
      for (const part of event.getCoalescedEvents?.().length ? event.getCoalescedEvents() : [event]) act.move(inArea(part), part);
    }
    if (fingers.has(event.pointerId)) fingers.set(event.pointerId, at);
    act.hover(event.pointerType === "touch" ? null : at, event);
  }
  function end(event) {
    fingers.delete(event.pointerId);
    if (drawing === event.pointerId) {
      if (event.type === "pointerup") act.end();
      else act.cancel();
    }
    if (drawing === event.pointerId || panning?.id === event.pointerId) forget();
  }
  area.addEventListener("pointerdown", begin);
  area.addEventListener("pointermove", move);
  for (const name of ["pointerup", "pointercancel"]) area.addEventListener(name, end);
  area.addEventListener("pointerleave", (event) => { if (drawing === null) act.hover(null, event); });
  area.addEventListener("wheel", (event) => {
    event.preventDefault();
    if (event.shiftKey) act.pan(-event.deltaY, 0);
    else act.zoom(Math.exp(-event.deltaY / (event.ctrlKey ? 100 : 400)), inArea(event));
  }, { passive: false });
  return {
    /** Whether the key is held that has every pointer move the picture. */
    hold(isHeld) {
      isSpace = isHeld;
      area.classList.toggle("is-moving", isHeld);
    },
  };
}

/** How large a brush is under an event: a pen's pressure makes it smaller. */
export const pressed = (radius, event) => event?.pointerType === "pen" ? radius * (0.15 + 0.85 * event.pressure) : radius;
