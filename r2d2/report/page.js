"use strict";
// Tables sort by the column whose name is clicked; figures are drawn when they come near the screen.
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => head.querySelector("button").addEventListener("click", () => {
    const rising = head.getAttribute("aria-sort") === "descending" ||
      (head.getAttribute("aria-sort") === null && !head.classList.contains("number"));
    heads.forEach((other) => other.removeAttribute("aria-sort"));
    head.setAttribute("aria-sort", rising ? "ascending" : "descending");
    const number = head.classList.contains("number");
    const rows = [...table.tBodies[0].rows];
    const value = (row) => row.cells[column].dataset.value;
    rows.sort((a, b) => {
      if ((value(a) === "") !== (value(b) === "")) return value(a) === "" ? 1 : -1; // what is missing comes last
      const order = number ? value(a) - value(b) : value(a).localeCompare(value(b), undefined, { numeric: true });
      return rising ? order : -order;
    });
    table.tBodies[0].append(...rows);
  }));
}
for (const button of document.querySelectorAll("button.copy")) {
  button.addEventListener("click", async () => {
    await navigator.clipboard.writeText(button.parentElement.querySelector("code").textContent);
    button.textContent = "copied";
    setTimeout(() => { button.textContent = "copy"; }, 1500);
  });
}
const figures = JSON.parse(document.getElementById("figures").textContent);
const options = { responsive: true, displaylogo: false,
  modeBarButtonsToRemove: ["lasso2d", "select2d", "zoomIn2d", "zoomOut2d", "autoScale2d"],
  ...(window.innerWidth < 700 ? { displayModeBar: false } : {}) }; // on a phone it would hide the names
const watcher = new IntersectionObserver((entries) => {
  for (const { isIntersecting, target } of entries) {
    if (!isIntersecting) continue;
    watcher.unobserve(target);
    const { data, layout } = figures[target.id];
    Plotly.newPlot(target, data, layout, options);
  }
}, { rootMargin: "500px" });
document.querySelectorAll(".plot").forEach((place) => watcher.observe(place));
