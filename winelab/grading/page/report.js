"use strict";
const dialog = document.getElementById("detail");
const body = document.getElementById("detail-body");

document.addEventListener("click", (event) => {
  const cell = event.target.closest("button[data-detail]");
  if (cell) {
    body.replaceChildren(document.getElementById(cell.dataset.detail).content.cloneNode(true));
    dialog.showModal();
    dialog.scrollTop = 0;
    return;
  }
  // The backdrop counts as the dialog itself; what is inside does not.
  if (event.target === dialog) dialog.close();
  const sort = event.target.closest("button.sort");
  if (sort) sortBy(sort);
});

function sortBy(button) {
  const head = button.closest("th");
  const down = head.getAttribute("aria-sort") === "ascending";
  for (const other of head.parentNode.cells) other.removeAttribute("aria-sort");
  head.setAttribute("aria-sort", down ? "descending" : "ascending");
  const rows = document.querySelector("table.grades tbody");
  const value = (row) => Number(row.dataset[button.dataset.by]);
  const sorted = [...rows.rows].sort((a, b) => (down ? value(b) - value(a) : value(a) - value(b)));
  rows.append(...sorted);
}
