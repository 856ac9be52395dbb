/* SPDX-License-Identifier: GPL-2.0 */
/* The page can be read without this. It adds a filter, and arrow keys in the table. */
"use strict";
(() => {
  const table = document.querySelector("table.matrix");

  /* A cell that is led to is opened, in browsers that do not do so themselves. */
  const open = () => {
    const place = location.hash.length > 1 && document.getElementById(location.hash.slice(1));
    const cell = place && place.closest("details");
    if (cell && !cell.open) {
      cell.open = true;
      place.scrollIntoView();
    }
  };
  addEventListener("hashchange", open);
  open();
  if (!table) return;

  const rows = [...table.tBodies[0].rows];
  const heads = [...table.tHead.rows[0].cells].slice(1);
  const named = (cell, text) => cell.textContent.toLowerCase().includes(text);

  /* Rows of kernels and columns of projects with the text in their names; if only kernels have it,
     all columns, and the other way round. */
  const filter = (text) => {
    const someRow = rows.some((row) => named(row.cells[0], text));
    const someColumn = heads.some((head) => named(head, text));
    let shown = 0;
    for (const row of rows) {
      row.hidden = someRow ? !named(row.cells[0], text) : !someColumn;
      shown += row.hidden ? 0 : 1;
    }
    heads.forEach((head, at) => {
      const hidden = someColumn && !someRow && !named(head, text);
      head.hidden = hidden;
      for (const row of rows) row.cells[at + 1].hidden = hidden;
    });
    return shown;
  };

  const find = document.getElementById("find");
  const input = find.querySelector("input");
  find.hidden = false;
  input.addEventListener("input", () => {
    const text = input.value.trim().toLowerCase();
    const shown = filter(text);
    document.getElementById("found").value = text ? shown + " of " + rows.length + " kernels" : "";
  });

  const steps = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };
  table.addEventListener("keydown", (event) => {
    const cell = event.target.closest("td");
    const step = steps[event.key];
    if (!cell || !step || event.ctrlKey || event.altKey || event.metaKey || event.shiftKey) return;
    let row = cell.parentElement.rowIndex;
    let column = cell.cellIndex;
    for (;;) {
      row += step[0];
      column += step[1];
      const next = table.rows[row] && table.rows[row].cells[column];
      if (!next) return;
      const link = next.querySelector("a");
      if (!link || !link.offsetParent) continue;
      event.preventDefault();
      link.focus();
      return;
    }
  });
})();
