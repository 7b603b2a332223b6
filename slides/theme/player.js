// Shows the slides of a deck one at a time, and the speaker's window. All that it shows stands in the
// page already: without this script the slides stand below one another, and they print the same way.
"use strict";

const WIDTH = 1280, HEIGHT = 720; // of a slide, as in slides.css
const page = document.documentElement;
const asked = new URLSearchParams(location.search);

if (asked.has("print-notes")) {
  page.classList.add("print-notes");
} else {
  // Said before the first slide is read, or all of them would flash by below one another.
  page.classList.add("playing");
  document.addEventListener("DOMContentLoaded", () => play(asked.has("speaker")));
}

function play(speaking) {
  const slides = [...document.querySelectorAll("main > section")];
  const last = slides.length - 1;
  const title = (slide) => slide.querySelector("h1, h2").textContent;
  let started = history.state?.started ?? Date.now(); // kept when the window is loaded again
  let at = -1;
  // The window of the speaker, or the one that opened it. The two speak by messages, which need no
  // server: browsers differ in what else two pages that are files may share.
  let other = speaking ? window.opener : null;

  // --- what is added to the page ---

  const add = (html) => {
    document.body.insertAdjacentHTML("beforeend", html);
    return document.body.lastElementChild;
  };
  const progress = add('<div class="progress" aria-hidden="true"><div></div></div>');
  const said = add('<p class="said" role="status"></p>');
  const help = add(`<dialog class="help" aria-labelledby="keys"><h2 id="keys">Keys</h2><table>
    <tr><th>→ ↓ Page down, space, n</th><td>next slide</td></tr>
    <tr><th>← ↑ Page up, Shift + space, p</th><td>the one before</td></tr>
    <tr><th>Home, End</th><td>first, last</td></tr>
    <tr><th>S</th><td>the speaker's window</td></tr>
    <tr><th>Shift + N</th><td>the notes below the slide, or not</td></tr>
    <tr><th>F</th><td>full screen, or not</td></tr>
    <tr><th>H, ?</th><td>these keys; Esc closes them</td></tr></table>
    <p>A click or a tap on the right or left third of the window, or a swipe, does the same as → and ←.
    A number in the address, as in #7, is a slide's.</p></dialog>`);
  const bar = speaking ? add(`<div class="bar"><b class="count"></b><span class="following"></span>
    <time class="clock"></time><button title="Begin at 0:00 again"></button></div>`) : null;

  // --- moving ---

  function show(wanted, tell = true) {
    const number = Math.max(0, Math.min(last, wanted));
    if (number === at) return;
    at = number;
    slides.forEach((slide, index) => {
      const next = speaking && index === at + 1;
      slide.hidden = index !== at && !next;
      slide.inert = next;
      slide.classList.toggle("next", next);
    });
    said.textContent = "";
    progress.firstChild.style.width = `${(100 * at) / Math.max(1, last)}%`;
    slides[at].querySelector(".notes").scrollTop = 0;
    slides[at].focus({ preventScroll: true }); // a screen reader says the slide's label now
    if (speaking) {
      bar.querySelector(".count").textContent = `${at + 1} / ${slides.length}`;
      bar.querySelector(".following").textContent =
        at < last ? `Next: ${title(slides[at + 1])}` : "The last slide";
    }
    remember();
    if (tell) send(at);
  }

  function remember() {
    try {
      // Replaced, so that "back" leaves the slides instead of going through all of them.
      history.replaceState({ started }, "", `#${at + 1}`);
    } catch {
      // A preview inside of another page has no address of its own; the slides work all the same.
    }
  }

  // The number in the address; the first slide where there is none.
  const addressed = () => (parseInt(location.hash.slice(1), 10) || 1) - 1;

  function fit() {
    // Beside the scaled slide a speaker sees the next one, at 0.6 of its size: see player.css.
    const below = page.classList.contains("with-notes") ? 0.6 : 1;
    const scale = speaking
      ? Math.min((innerWidth - 48) / (1.6 * WIDTH), (innerHeight * 0.5 - 64) / HEIGHT)
      : Math.min(innerWidth / WIDTH, (innerHeight * below) / HEIGHT);
    page.style.setProperty("--scale", scale);
  }

  // --- two windows ---

  function send(slide) {
    // "*": a file has no origin that could be named, and the number of a slide is no secret.
    if (other && !other.closed) other.postMessage({ slide }, "*");
  }

  function receive(event) {
    if (typeof event.data !== "object" || !event.data || !("slide" in event.data)) return;
    if (speaking && event.source !== other) return;
    other = event.source; // known again, if this window was loaded anew
    if (Number.isInteger(event.data.slide)) show(event.data.slide, false);
    else send(at);
  }

  function openSpeaker() {
    if (speaking) return;
    if (other && !other.closed) return other.focus();
    other = window.open(`?speaker#${at + 1}`, "_blank", "popup,width=1200,height=800");
    if (!other) {
      said.textContent = "The browser blocked the speaker's window: allow pop-ups for this page and " +
        "press S again, or press Shift + N for the notes below the slide.";
    }
  }

  function tick() {
    const seconds = Math.floor((Date.now() - started) / 1000);
    const minutes = Math.floor(seconds / 60);
    bar.querySelector("button").textContent = `${minutes}:${String(seconds % 60).padStart(2, "0")}`;
    bar.querySelector(".clock").textContent =
      new Date().toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
    const alone = !other || other.closed;
    const words = "The window with the slides is closed: open the deck again, and press S in it.";
    if (alone && !said.textContent) said.textContent = words;
    if (!alone && said.textContent === words) said.textContent = "";
    send("where?"); // once a second: so the two find each other again after a reload
  }

  // --- keys, clicks, swipes ---

  const back = () => show(at - 1), forward = () => show(at + 1);
  const keys = {
    ArrowRight: forward, ArrowDown: forward, PageDown: forward, n: forward,
    ArrowLeft: back, ArrowUp: back, PageUp: back, p: back,
    " ": (event) => (event.shiftKey ? back() : forward()),
    Home: () => show(0), End: () => show(last),
    s: openSpeaker, h: () => help.showModal(), "?": () => help.showModal(),
    f: () => (document.fullscreenElement ? document.exitFullscreen() : page.requestFullscreen?.()),
  };

  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey) return;
    const key = event.key.length > 1 ? event.key : event.key.toLowerCase();
    if (help.open) {
      if (key === "h" || key === "?") help.close();
      return;
    }
    // Notes that were tabbed to scroll, and a button is pressed, as on every page.
    if (event.target.closest(".notes") && /Up|Down/.test(key)) return;
    if (event.target.closest("button") && key === " ") return;
    const action = key === "n" && event.shiftKey ? toggleNotes : keys[key];
    if (!action) return;
    event.preventDefault();
    action(event);
  });

  function toggleNotes() {
    if (speaking) return;
    page.classList.toggle("with-notes");
    said.textContent = "";
    fit();
  }

  let selected = false; // a click that takes a selection away is no wish to move
  const selection = () => !getSelection().isCollapsed;
  document.addEventListener("pointerdown", () => { selected = selection(); });
  document.addEventListener("click", (event) => {
    if (selected || selection() || event.target.closest("a, button, .notes, dialog")) return;
    if (event.clientX > (innerWidth * 2) / 3) forward();
    else if (event.clientX < innerWidth / 3) back();
  });

  let touch = null; // where one finger began; null for two, and where the page is zoomed in
  document.addEventListener("touchstart", (event) => {
    touch = event.touches.length === 1 && !(visualViewport?.scale > 1) ? event.touches[0] : null;
  });
  document.addEventListener("touchend", (event) => {
    if (!touch || selection() || help.open) return;
    const end = event.changedTouches[0];
    const [across, down] = [end.clientX - touch.clientX, end.clientY - touch.clientY];
    touch = null;
    if (Math.abs(across) < 50 || Math.abs(across) < 2 * Math.abs(down)) return;
    if (across < 0) forward();
    else back();
  });

  // --- begin ---

  for (const slide of slides) slide.tabIndex = -1; // so that it can be focused, by this script only
  addEventListener("resize", fit);
  addEventListener("hashchange", () => show(addressed()));
  addEventListener("message", receive);
  fit();
  show(addressed(), false);
  if (speaking) {
    page.classList.add("speaking");
    document.title = `Speaker: ${document.title}`;
    bar.querySelector("button").addEventListener("click", () => {
      started = Date.now();
      remember();
      slides[at].focus();
      tick();
    });
    tick();
    setInterval(tick, 1000);
  }
}
