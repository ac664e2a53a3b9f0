'use strict';
for (const table of document.querySelectorAll('table.sortable')) {
  const body = table.tBodies[0];
  const heads = Array.from(table.tHead.rows[0].cells);
  heads.forEach((head, column) => {
    const button = head.querySelector('button');
    if (!button) return;
    button.addEventListener('click', () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      const value = (row) => {
        const cell = row.cells[column];
        const number = cell.dataset.value;
        return number === undefined ? cell.textContent.trim() : number === '' ? null : Number(number);
      };
      const order = (a, b) => {
        const [x, y] = [value(a), value(b)];
        if (x === null || y === null) return (x === null) - (y === null);
        const less = typeof x === 'number' ? x - y : x.localeCompare(y);
        return down ? -less : less;
      };
      body.append(...Array.from(body.rows).sort(order));
      heads.forEach((other) => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
    });
  });
}
