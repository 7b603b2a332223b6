// What the tests of the slides ask of a page, and do to it; put into each page that they open.

// The width of these words, 100 pixels high: 422 in Arial and in every font with its measures.
window.widthOfWords = () => {
  const brush = document.createElement("canvas").getContext("2d");
  brush.font = '100px "Helvetica Neue", Helvetica, Arial, "Liberation Sans", sans-serif';
  return Math.round(brush.measureText("Wine Lab").width);
};

// Moves a finger over the page.
window.swipe = (from, to) => {
  const at = (x) => new Touch({ identifier: 1, target: document.body, clientX: x, clientY: 300 });
  const send = (kind, touches, x) => document.body.dispatchEvent(
    new TouchEvent(kind, { bubbles: true, touches, changedTouches: [at(x)] }));
  send("touchstart", [at(from)], from);
  send("touchend", [], to);
};

// What is wrong with the slide that is shown: [what, the words it is about].
window.faults = () => {
  const slide = document.querySelector("section:not([hidden]) .slide");
  const body = slide.querySelector(".body").getBoundingClientRect();
  const faults = [];
  const colour = (text) => {
    const found = text.match(/[\d.]+/g).map(Number);
    return found.length > 3 && found[3] === 0 ? null : found.slice(0, 3);
  };
  const light = (rgb) => {
    const [r, g, b] = rgb.map((part) => {
      const c = part / 255;
      return c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const contrast = (a, b) => {
    const [x, y] = [light(a), light(b)];
    return (Math.max(x, y) + 0.05) / (Math.min(x, y) + 0.05);
  };
  const below = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const found = colour(getComputedStyle(at).backgroundColor);
      if (found) return found;
    }
    return [255, 255, 255];
  };
  for (const pre of slide.querySelectorAll("pre")) {
    if (pre.scrollWidth > pre.clientWidth)
      faults.push(["code is cut off", pre.textContent.slice(0, 40)]);
  }
  for (const figure of slide.querySelectorAll("figure")) {
    if (figure.getBoundingClientRect().height < 200) faults.push(["picture is flat", ""]);
  }
  const walk = document.createTreeWalker(slide, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const words = walk.currentNode.textContent.trim();
    if (!words) continue;
    const element = walk.currentNode.parentElement;
    const range = document.createRange();
    range.selectNodeContents(walk.currentNode);
    const box = range.getBoundingClientRect();
    const style = getComputedStyle(element);
    if (box.left < 40 || box.right > 1240 || box.top < 0 || box.bottom > 720)
      faults.push(["over the edge", words]);
    if (element.closest(".body") && (box.bottom > body.bottom + 1 || box.top < body.top - 1))
      faults.push(["over the footer", words]);
    const drawing = element.closest("svg");
    let size = parseFloat(style.fontSize), paint = style.color, ground = null;
    if (drawing) {
      size *= drawing.getScreenCTM().a;
      paint = style.fill;
      const at = [box.left + box.width / 2, box.top + box.height / 2];
      const shapes = [...drawing.querySelectorAll("rect")].filter((shape) => {
        const its = shape.getBoundingClientRect();
        return its.left <= at[0] && its.right >= at[0] && its.top <= at[1] && its.bottom >= at[1];
      });
      const shape = shapes[shapes.length - 1];
      if (shape) {
        ground = colour(getComputedStyle(shape).fill);
        const its = shape.getBoundingClientRect();
        if (box.left < its.left + 3 || box.right > its.right - 3)
          faults.push(["out of its box", words]);
      }
    }
    // A digit's width is left for the rounding of sizes.
    if (size < 17.5) faults.push([`letters of ${size.toFixed(1)} pixels`, words]);
    if (!drawing && element.closest(".body > p, .body > ul, .columns p, .columns ul, blockquote")
        && !element.closest("code") && size < 24) faults.push([`text of ${size} pixels`, words]);
    const ratio = contrast(colour(paint), ground || below(element));
    if (ratio < 4.5) faults.push([`contrast ${ratio.toFixed(2)}`, words]);
  }
  return faults;
};
