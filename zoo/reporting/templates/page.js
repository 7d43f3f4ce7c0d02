// Tables are sorted and models hidden where they stand: without JavaScript all is there, best first.
"use strict";
document.documentElement.classList.add("js");

for (const chapter of document.querySelectorAll(".chapter")) {
  const named = [...chapter.querySelectorAll("[data-model]")];
  const bodies = [...chapter.querySelectorAll(".figures tbody, .strips tbody")];
  const heads = [...chapter.querySelectorAll(".figures thead th")];

  // All rows of the chapter follow the table: what is given (examples) stays on top.
  const arrange = (order) => {
    const place = new Map(order.map((name, n) => [name, n]));
    for (const body of bodies) {
      const rows = [...body.rows].sort(
        (a, b) => (place.get(a.dataset.model) ?? -1) - (place.get(b.dataset.model) ?? -1));
      body.append(...rows);
    }
  };

  heads.forEach((head, column) => {
    const words = head.querySelector(".sort");
    const button = document.createElement("button");
    button.append(...words.childNodes);
    words.append(button);
    button.addEventListener("click", () => {
      const down = head.getAttribute("aria-sort") !== "descending";
      heads.forEach((each) => each.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const valueOf = (row) => column === 0 ? row.dataset.model : row.cells[column].dataset.number;
      const [known, none] = [[], []];
      for (const row of chapter.querySelector(".figures tbody").rows) {
        (valueOf(row) === undefined ? none : known).push(row);
      }
      known.sort((a, b) => column === 0
        ? valueOf(b).localeCompare(valueOf(a)) : valueOf(b) - valueOf(a));
      if (!down) known.reverse();
      arrange([...known, ...none].map((row) => row.dataset.model));
    });
  });

  chapter.querySelector(".filter input").addEventListener("input", (event) => {
    const wanted = event.target.value.trim().toLowerCase();
    for (const each of named) {
      each.classList.toggle("off", !each.dataset.model.toLowerCase().includes(wanted));
    }
  });

  // Pointing at a model dims the others in all charts.
  const light = (name) => {
    chapter.classList.toggle("lit", name !== undefined);
    for (const each of named) each.classList.toggle("on", each.dataset.model === name);
  };
  for (const each of chapter.querySelectorAll(".series, .legend li")) {
    each.addEventListener("pointerenter", () => light(each.dataset.model));
    each.addEventListener("pointerleave", () => light());
  }
}
