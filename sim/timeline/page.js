"use strict";
(() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const lanes = document.getElementById("lanes"), scroll = lanes.parentNode;
  const until = +lanes.dataset.until, margin = +lanes.dataset.margin;
  const slider = document.getElementById("at"), now = document.getElementById("now");
  const cursor = document.getElementById("cursor"), cards = document.getElementById("cards");
  const events = document.getElementById("events");
  let width = +lanes.dataset.width, at = 0;
  const x = t => t / until * width;
  const say = t => {
    const s = t / 1e6;
    if (s < 600) return s.toFixed(s < 100 ? 2 : 1) + " s";
    return Math.floor(s / 3600) + ":" + String(Math.floor(s / 60) % 60).padStart(2, "0") + ":" + String(Math.floor(s) % 60).padStart(2, "0");
  };

  // layout draws everything again for the current width.
  function layout() {
    lanes.setAttribute("width", width + margin);
    for (const e of lanes.querySelectorAll("[data-a]")) {
      const a = +e.dataset.a, b = +e.dataset.b;
      switch (e.tagName) {
        case "rect":
          e.setAttribute("x", x(a));
          e.setAttribute("width", e.classList.contains("instant") ? 2 : Math.max(x(b) - x(a), 1));
          break;
        case "line":
          e.setAttribute("x1", x(a));
          e.setAttribute("x2", x(a));
          break;
        case "text":
          if (e.dataset.e && x(a) + +e.dataset.e > width) {
            e.setAttribute("x", x(a) - 3);
            e.setAttribute("text-anchor", "end");
            break;
          }
          e.setAttribute("x", x(a) + 3);
          if (e.dataset.e) e.removeAttribute("text-anchor");
          if (e.classList.contains("tick")) e.setAttribute("display", x(a) + 40 > width ? "none" : "inline");
          else if (b > a && e.dataset.t) {
            const room = x(b) - x(a);
            e.textContent = room >= +e.dataset.w ? e.dataset.t : room >= +e.dataset.v ? e.dataset.s : "";
          }
          break;
        case "g":
          e.setAttribute("transform", e.getAttribute("transform").replace(/\([^,]*/, "(" + x(a)));
      }
    }
    place();
  }

  function place() {
    cursor.setAttribute("x1", x(at));
    cursor.setAttribute("x2", x(at));
  }

  const escaped = s => String(s).replace(/[&<>"]/g, c => ({"&": "&amp;", "<": "&lt;", ">": "&gt;", '"': "&quot;"}[c]));
  const some = (list, n) => list.length <= n ? list.join(", ") : list.slice(0, n).join(", ") + " and " + (list.length - n) + " more";

  function card(i, s) {
    const words = [];
    if (s.is !== "up") words.push(s.is);
    else if (!s.warm) words.push("warming up");
    if (s.drain) words.push("draining");
    let body = "";
    if (s.is !== "down") {
      body += "<p><b>captures</b> " + escaped(s.has ? some(s.has, 12) : "nothing") + "</p>";
      if (s.begin) body += "<p><b>starts</b> " + escaped(some(s.begin, 12)) + "</p>";
      if (s.fail) body += "<p class=dead><b>cannot get</b> " + escaped(some(s.fail, 12)) + "</p>";
      if (s.dead) body += "<p class=dead><b>takes for dead</b> " + escaped(s.dead.join(", ")) + "</p>";
      if (s.unmet) body += "<p><b>has not met</b> " + escaped(s.unmet.join(", ")) + "</p>";
      if (s.deaf) body += "<p><b>hears only through others of</b> " + escaped(s.deaf.join(", ")) + "</p>";
      if (s.wrong) body += "<p><b>is not up to date on</b> " + escaped(some(s.wrong, 6)) + "</p>";
    }
    return `<div class="card ${s.is}" style="--c:${data.colour[i]}"><h4>${escaped(data.nodes[i])}<span>${escaped(words.join(", ") || "up")}</span></h4>${body}</div>`;
  }

  // show puts the page to an instant.
  function show(t) {
    at = Math.min(Math.max(t, 0), until);
    slider.value = at / until * slider.max;
    now.textContent = say(at);
    place();
    let lo = 0, hi = data.shots.length;
    while (lo < hi) {
      const mid = (lo + hi) >> 1;
      if (data.shots[mid].t <= at) lo = mid + 1; else hi = mid;
    }
    const shot = data.shots[Math.max(lo - 1, 0)];
    cards.innerHTML = shot ? shot.n.map((s, i) => card(i, data.states[s])).join("") : "";
    const near = data.marks.filter(m => Math.abs(m.t - at) <= until / 400);
    events.textContent = some(near.map(m => m.text), 8);
  }

  // keep puts the instant into the address, so that it can be sent to somebody.
  let keeping;
  function keep() {
    clearTimeout(keeping);
    keeping = setTimeout(() => { try { history.replaceState(null, "", "#t=" + (at / 1e6).toFixed(3)); } catch { /* a page that has no address */ } }, 200);
  }
  function move(t) { show(t); keep(); }

  const times = [...new Set(data.marks.map(m => m.t))].sort((a, b) => a - b);
  slider.max = 10000;
  slider.addEventListener("input", () => move(slider.value / slider.max * until));
  document.getElementById("forth").addEventListener("click", () => { const t = times.find(t => t > at + 1); if (t !== undefined) move(t); });
  document.getElementById("back").addEventListener("click", () => { const t = times.findLast(t => t < at - 1); move(t === undefined ? 0 : t); });
  function zoom(by, middle) {
    const before = width, fix = middle === undefined ? x(at) - scroll.scrollLeft : middle;
    width = Math.min(Math.max(width * by, +lanes.dataset.width), 200000);
    const left = (scroll.scrollLeft + fix) * width / before - fix;
    layout();
    scroll.scrollLeft = left;
  }
  document.getElementById("in").addEventListener("click", () => zoom(1.6));
  document.getElementById("out").addEventListener("click", () => zoom(1 / 1.6));
  scroll.addEventListener("wheel", e => {
    if (!e.ctrlKey && !e.shiftKey) return;
    e.preventDefault();
    zoom(e.deltaY + e.deltaX < 0 ? 1.25 : 0.8, e.clientX - scroll.getBoundingClientRect().left);
  }, {passive: false});
  lanes.addEventListener("click", e => {
    if (e.target.closest("a")) return;
    move((e.clientX - lanes.getBoundingClientRect().left) / width * until);
  });
  for (const b of document.querySelectorAll("[data-go]")) b.addEventListener("click", () => {
    const near = 20e6; // the window that shows what happened around it, in microseconds
    if (x(near) < scroll.clientWidth) zoom(scroll.clientWidth / x(near));
    show(+b.dataset.go);
    scroll.scrollLeft = x(at) - scroll.clientWidth * 0.7;
    lanes.scrollIntoView({behavior: "smooth", block: "center"});
  });
  const linked = () => location.hash.match(/^#t=([\d.]+)/);
  addEventListener("hashchange", () => {
    if (linked()) return show(linked()[1] * 1e6);
    if (!location.hash.startsWith("#L")) return;
    document.getElementById("trace").open = true;
    document.getElementById(location.hash.slice(1))?.scrollIntoView({block: "center"});
  });

  if (scroll.clientWidth > width) { lanes.dataset.width = width = scroll.clientWidth - margin; }
  layout();
  show(linked() ? linked()[1] * 1e6 : data.marks.length ? data.marks[0].t : 0);
})();
