(() => {
  const { steps, layers } = JSON.parse(document.getElementById("data").textContent);
  const [svg, slider, label, play] = ["curves", "frame", "step", "play"].map(id => document.getElementById(id));
  const tauMax = Math.max(...layers.map(({ grid }) => grid[grid.length - 1]));
  const longest = Math.max(...layers.map(({ name }) => name.length));
  const SIZE = 13, CHARACTER = 7.6, ROW = 22, left = 46, top = 12, bottom = 44;
  let showFrame;

  const add = (tag, attributes, text) => {
    const node = document.createElementNS("http://www.w3.org/2000/svg", tag);
    for (const [key, value] of Object.entries(attributes)) node.setAttribute(key, value);
    if (text !== undefined) node.textContent = text;
    return svg.appendChild(node);
  };

  // One unit is one pixel, so text has its size on every page. Names stand at the right where there is room, else below.
  const lay = () => {
    const W = Math.min(svg.parentNode.clientWidth, 960), room = Math.min(52 + CHARACTER * longest, 320);
    const beside = W - room >= 400, right = beside ? room : 12;
    const plot = beside ? Math.max(340, ROW * layers.length + 34) : 300;
    svg.replaceChildren();
    svg.setAttribute("viewBox", `0 0 ${W} ${plot + (beside ? 0 : ROW * layers.length + 8)}`);
    svg.setAttribute("width", W);
    const x = tau => left + tau / tauMax * (W - left - right);
    const y = share => plot - bottom - share * (plot - top - bottom);

    const muted = { style: "fill: var(--muted)", "font-size": SIZE };
    for (const share of [0, .25, .5, .75, 1]) {
      add("line", { x1: left, x2: W - right, y1: y(share), y2: y(share), style: "stroke: var(--line)" });
      add("text", { ...muted, x: left - 8, y: y(share) + 4, "text-anchor": "end" }, Math.round(share * 100) + "%");
    }
    const between = [1, 2, 5, 10, 20, 50, 100, 200, 500].find(step => tauMax / step <= 8) ?? tauMax;
    for (let tau = 0; tau <= tauMax; tau += between)
      add("text", { ...muted, x: x(tau), y: plot - bottom + 18, "text-anchor": "middle" }, tau);
    add("text", { ...muted, x: x(tauMax / 2), y: plot - 4, "text-anchor": "middle" }, "threshold τ on the singular values");

    // The end of a name tells layers apart.
    const fitting = Math.floor(((beside ? right - 14 : W - left) - 34) / CHARACTER);
    const shown = name => name.length <= fitting ? name : "…" + name.slice(1 - fitting);
    const lines = layers.map(({ name, colour, dashed }, i) => {
      const style = { style: `fill: none; stroke: ${colour}`, "stroke-width": dashed ? 1.6 : 2.4, ...(dashed && { "stroke-dasharray": "6 4" }) };
      const [begin, height] = beside ? [W - right + 14, top + 10 + ROW * i] : [left, plot + 14 + ROW * i];
      add("line", { ...style, x1: begin, x2: begin + 20, y1: height, y2: height });
      add("text", { x: begin + 26, y: height + 4, style: "fill: var(--ink)", "font-size": SIZE }, shown(name));
      return add("polyline", style);
    });

    // A(τ) is continuous from the left: between two thresholds it has the value of the right one.
    const points = (grid, curve) => curve.flatMap((share, j) =>
      share === null ? [] : [...(j ? [x(grid[j - 1]) + "," + y(share)] : []), x(grid[j]) + "," + y(share)]).join(" ");
    showFrame = frame => layers.forEach(({ grid, curves }, i) => lines[i].setAttribute("points", points(grid, curves[frame])));
    draw();
  };

  const draw = () => {
    const frame = Number(slider.value);
    label.textContent = "step " + steps[frame].toLocaleString("en");
    slider.setAttribute("aria-valuetext", label.textContent);
    showFrame(frame);
  };

  const last = steps.length - 1;
  slider.max = slider.value = last;
  slider.addEventListener("input", draw);
  window.addEventListener("resize", lay);
  let timer = null;
  const stop = () => { clearInterval(timer); timer = null; play.textContent = "Play"; };
  play.addEventListener("click", () => {
    if (timer) return stop();
    if (Number(slider.value) === last) { slider.value = 0; draw(); }
    play.textContent = "Pause";
    timer = setInterval(() => { slider.value = Number(slider.value) + 1; draw(); if (Number(slider.value) === last) stop(); }, 60);
  });
  lay();
})();
