for (const chart of document.querySelectorAll('svg.bars')) {
  const bars = Array.from(chart.querySelectorAll('.bar'));
  bars.forEach((bar, at) => bar.setAttribute('tabindex', at === 0 ? '0' : '-1'));
  chart.addEventListener('keydown', (event) => {
    const at = bars.indexOf(document.activeElement);
    const to = bars[{ ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: bars.length - 1 }[event.key]];
    if (at < 0 || !to) return;
    event.preventDefault();
    bars[at].setAttribute('tabindex', '-1');
    to.setAttribute('tabindex', '0');
    to.focus();
  });
}
