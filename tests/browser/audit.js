// Looks a page over as somebody would who can't see well or has no mouse; returns what is wrong, in sentences.
() => {
  const wrong = [];
  const shown = (element) => element.checkVisibility({ opacityProperty: true, visibilityProperty: true });
  const name = (element) => (element.getAttribute("aria-label") || [...(element.labels || [])].map((label) => label.textContent).join(" ")
    || element.textContent || element.title || "").trim();
  const where = (element) => `${element.tagName.toLowerCase()}${element.id ? "#" + element.id : ""}.${element.className.baseVal ?? element.className}: ${element.textContent.trim().slice(0, 40)}`;

  for (const element of document.querySelectorAll("a[href], button, input:not([type=hidden]), select, textarea, summary")) {
    if (shown(element) && !name(element)) wrong.push(`no name: ${where(element)}`);
  }
  const headings = [...document.querySelectorAll("h1")].filter(shown);
  if (headings.length !== 1) wrong.push(`${headings.length} main headings`);
  if (!document.documentElement.lang) wrong.push("no language");
  const ids = [...document.querySelectorAll("[id]")].map((element) => element.id);
  for (const id of new Set(ids)) if (ids.filter((each) => each === id).length > 1) wrong.push(`the id ${id} stands twice`);
  for (const element of document.querySelectorAll("[aria-describedby], label[for]")) {
    const target = element.getAttribute("aria-describedby") || element.getAttribute("for");
    if (!document.getElementById(target)) wrong.push(`${target} is pointed at and is not there`);
  }
  if (document.documentElement.scrollWidth > document.documentElement.clientWidth) {
    wrong.push(`wider than the window: ${document.documentElement.scrollWidth} of ${document.documentElement.clientWidth}`);
  }

  const cut = (box) => box.left < -1 || box.right > innerWidth + 1;
  const open = document.querySelector("dialog[open]");
  for (const element of (open ?? document).querySelectorAll("a.btn, button, summary")) {
    if (shown(element) && !element.closest(".unseen, .table-box") && cut(element.getBoundingClientRect())) wrong.push(`cut off: ${where(element)}`);
    const edge = open?.getBoundingClientRect();
    const box = element.getBoundingClientRect();
    if (edge && shown(element) && (box.left < edge.left || box.right > edge.right)) wrong.push(`beyond its dialog: ${where(element)}`);
  }

  // Contrast by WCAG: 4.5 for text, 3 for large text; colours are painted to be read in sRGB, whatever their notation.
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = 1;
  const brush = canvas.getContext("2d", { willReadFrequently: true });
  const colour = (layers) => {
    brush.clearRect(0, 0, 1, 1);
    for (const layer of layers) { brush.fillStyle = layer; brush.fillRect(0, 0, 1, 1); }
    return [...brush.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => (v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4))
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const grounds = (element) => {
    const layers = [];
    for (let each = element; each; each = each.parentElement) layers.unshift(getComputedStyle(each).backgroundColor);
    return ["white", ...layers];
  };
  const seen = new Set();
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.textContent.trim() || !shown(element) || element.closest("[disabled], .unseen, .skip, script, noscript, option")) continue;
    const style = getComputedStyle(element);
    const under = grounds(element);
    const key = [style.color, style.fontSize, ...under].join();
    if (seen.has(key)) continue;
    seen.add(key);
    const [a, b] = [light(colour([...under, style.color])), light(colour(under))];
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const size = parseFloat(style.fontSize);
    const large = size >= 24 || (size >= 18.66 && Number(style.fontWeight) >= 700);
    if (ratio < (large ? 3 : 4.5)) wrong.push(`contrast ${ratio.toFixed(2)}: ${where(element)}`);
  }
  return wrong;
}
