// Whether a text is seen: whole, inside the window, and under nothing else. The first and the last
// letter are looked at, where a long text would be cut off.
(text) => {
  const inside = (x, y, box) =>
    x >= box.left && x <= box.right && y >= box.top && y <= box.bottom;
  const seen = (x, y, node) => {
    const top = document.elementFromPoint(x, y);
    if (top === null || !(top.contains(node) || node.contains(top))) return false;
    for (let up = node; up; up = up.parentElement) {
      const cuts = getComputedStyle(up).overflowX !== "visible" && up !== document.body;
      if (cuts && !inside(x, y, up.getBoundingClientRect())) return false;
    }
    return true;
  };
  const lies = (box, node) => {
    const y = (box.top + box.bottom) / 2;
    return box.width > 0 && box.height > 0
      && [box.left + 1, box.right - 1].every((x) => seen(x, y, node));
  };
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const node = walk.currentNode;
    for (let at = node.data.indexOf(text); at >= 0; at = node.data.indexOf(text, at + 1)) {
      const range = document.createRange();
      range.setStart(node, at);
      range.setEnd(node, at + text.length);
      const boxes = [...range.getClientRects()];
      if (boxes.length && boxes.every((box) => lies(box, node.parentElement))) return true;
    }
  }
  return [...document.querySelectorAll("input")].some(
    (field) => field.value.includes(text) && lies(field.getBoundingClientRect(), field));
}
