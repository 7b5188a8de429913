// Pointing at a mention, or moving to it with the keyboard, shows its chain in its own result.
function show(event) {
  document.querySelectorAll('.sb.chosen').forEach(panel => panel.classList.remove('chosen'));
  document.querySelectorAll('.sb .on').forEach(one => one.classList.remove('on'));
  const mention = event.target.closest?.('.sb [data-chain]');
  const panel = mention?.closest('.sb');
  if (!panel || !panel.querySelector('.sb-chains')) return;
  panel.classList.add('chosen');
  panel.querySelectorAll(`[data-chain="${mention.dataset.chain}"]`).forEach(one => one.classList.add('on'));
}
document.addEventListener('mouseover', show);
document.addEventListener('focusin', show);
