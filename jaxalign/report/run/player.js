(() => {
  const { steps, layers } = JSON.parse(document.getElementById("data").textContent);
  const [svg, slider, label, play] = ["curves", "frame", "step", "play"].map(id => document.getElementById(id));

  // Names of layers stand at the right, so the longest one says how much room they need.
  const longest = Math.max(...layers.map(({ name }) => name.length));
  const W = 900, H = Math.max(340, 22 * layers.length + 34);
  const left = 52, right = Math.min(52 + 7.6 * longest, 320), top = 12, bottom = 44;
  svg.setAttribute("viewBox", `0 0 ${W} ${H}`);
  svg.setAttribute("width", W);

  const tauMax = Math.max(...layers.map(({ grid }) => grid[grid.length - 1]));
  const x = tau => left + tau / tauMax * (W - left - right);
  const y = share => H - bottom - share * (H - top - bottom);
  const add = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return svg.appendChild(node);
  };

  const muted = { fill: "#5b6472", "font-size": 13 };
  for (const share of [0, .25, .5, .75, 1]) {
    add("line", { x1: left, x2: W - right, y1: y(share), y2: y(share), stroke: "#e3e6eb" });
    add("text", { ...muted, x: left - 8, y: y(share) + 4, "text-anchor": "end" }, Math.round(share * 100) + "%");
  }
  const between = [1, 2, 5, 10, 20, 50, 100, 200, 500].find(step => tauMax / step <= 8) ?? tauMax;
  for (let tau = 0; tau <= tauMax; tau += between)
    add("text", { ...muted, x: x(tau), y: H - bottom + 18, "text-anchor": "middle" }, tau);
  add("text", { ...muted, x: x(tauMax / 2), y: H - 4, "text-anchor": "middle" }, "threshold τ on the singular values");

  const lines = layers.map(({ name, colour, dashed }, i) => {
    const style = { fill: "none", stroke: colour, "stroke-width": dashed ? 1.6 : 2.4, ...(dashed && { "stroke-dasharray": "6 4" }) };
    const height = top + 10 + 22 * i;
    add("line", { ...style, x1: W - right + 14, x2: W - right + 34, y1: height, y2: height });
    add("text", { x: W - right + 40, y: height + 4, fill: "#1f2328", "font-size": 13 }, name);
    return add("polyline", style);
  });

  // A(τ) is continuous from the left: between two thresholds it has the value of the right one.
  const points = (grid, curve) => curve.flatMap((share, j) =>
    share === null ? [] : [...(j ? [x(grid[j - 1]) + "," + y(share)] : []), x(grid[j]) + "," + y(share)]).join(" ");
  const draw = () => {
    const t = Number(slider.value);
    label.textContent = "step " + steps[t].toLocaleString("en");
    layers.forEach(({ grid, curves }, i) => lines[i].setAttribute("points", points(grid, curves[t])));
  };

  const last = steps.length - 1;
  slider.max = slider.value = last;
  slider.addEventListener("input", draw);
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === last) slider.value = 0;
    play.textContent = "Pause";
    timer = setInterval(() => { slider.value = Number(slider.value) + 1; draw(); if (Number(slider.value) === last) stop(); }, 60);
  });
  draw();
})();
