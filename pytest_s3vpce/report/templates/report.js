"use strict";
(() => {
  const $ = (id) => document.getElementById(id);
  const table = $("cells");
  if (!table) return;
  const data = JSON.parse($("data").textContent);

  // --- what was packed (packing.py): literals, references into the table, rows [shape, value, ...] -------------------
  const unpack = (value) => {
    if (Array.isArray(value)) {
      const names = data.shapes[value[0]];
      const values = value.slice(1).map(unpack);
      if (!names.length) return values;
      const made = new Map();
      names.forEach((name, place) => made.set(name, values[place]));
      return made;
    }
    return Number.isInteger(value) ? deref(data.table[value]) : value;
  };
  const deref = (value) => (Array.isArray(value) ? unpack(value) : value);
  const cellOf = (number) => unpack(data.rows[number]);
  const field = (row, name) => {
    const place = data.shapes[row[0]].indexOf(name);
    const value = place < 0 ? "" : row[1 + place];
    return Number.isInteger(value) ? data.table[value] : value;
  };
  const idOf = (row) => {
    const [id, operation, variant, bucket, principal, vantage, transport] =
      ["id", "operation", "variant", "bucket", "principal", "vantage", "transport"].map((name) => field(row, name));
    return id || `${operation}${variant ? `+${variant}` : ""}/${bucket}/${principal}:${vantage}/${transport}`;
  };

  // What was expected is told where somebody points: in the page it would take a tenth of its room.
  for (const button of table.querySelectorAll("button[data-n]")) {
    button.title = `expected: ${field(data.rows[button.dataset.n], "expect") || "nothing"}`;
  }

  // --- a cell opens to its evidence ----------------------------------------------------------------------------------
  const dialog = $("cell");
  const element = (name, text) => {
    const made = document.createElement(name);
    if (text !== undefined) made.textContent = text;
    return made;
  };
  const empty = (value) =>
    value === null || value === undefined || value === "" ||
    (Array.isArray(value) && !value.length) || (value instanceof Map && ![...value.values()].some((v) => !empty(v)));
  const worded = (name) => name.replace(/:$/, "").replaceAll("_", " ");
  const shown = (value) => {
    if (Array.isArray(value)) return value.map(shown).join("\n");
    if (value instanceof Map) return [...value].filter(([, v]) => !empty(v)).map(([k, v]) => `${worded(k)}: ${shown(v)}`).join("\n");
    return String(value);
  };
  const list = (pairs) => {
    const made = element("dl");
    for (const [name, value] of pairs) {
      if (empty(value)) continue;
      made.append(element("dt", worded(name)), element("dd", shown(value)));
    }
    return made;
  };
  const section = (title, pairs) => {
    const made = list(pairs);
    return made.childElementCount ? [element("h3", title), made] : [];
  };
  const milliseconds = (timings) =>
    timings ? [...timings].filter(([, v]) => v !== null).map(([k, v]) => [`${k} time`, `${(v * 1000).toFixed(1)} ms`]) : [];
  const LEFT_OUT = new Set(["id", "operation", "action", "variant", "bucket", "principal", "vantage", "transport", "expect",
    "measured", "counted", "passed", "controlled", "sent", "received", "hint", "place", "findings", "evidence", "predicted"]);
  const evidence = (cell) => {
    const get = (name) => cell.get(name) ?? new Map();
    const counted = get("counted"), measured = get("measured"), sent = get("sent"), received = get("received");
    const where = get("place");
    const passed = cell.get("passed") ?? null, controlled = cell.get("controlled") ?? null;
    const explicit = counted.get("explicit") ?? null;
    return [
      ...section("Verdict", [
        ["expected", cell.get("expect") ?? "nothing: a control"],
        ["got", counted.get("outcome")],
        ["as expected", passed === null ? "" : passed ? "✔ yes" : "✘ no"],
        ["why", counted.get("reason")],
        ["decided by", counted.get("layer")],
        ["statement", get("predicted").get("surprise") ? "" : get("predicted").get("statement")],
        ["explicit deny", explicit === null ? "" : explicit ? "yes" : "no"],
        ["controlled", controlled === null ? "" : controlled ? "yes: reach and credentials were shown from there" : "no: nothing shows that the principal reaches S3 from there"],
        ["look at", cell.get("hint")],
        ["declared", where.get("path") ? `${where.get("path")}:${where.get("line")}` : ""],
      ]),
      ...section("Prediction", [...get("predicted")]),
      ...section("More", [...cell].filter(([name]) => !LEFT_OUT.has(name))),
      ...section("Request as sent", [
        ["action", cell.get("action")],
        ["request", sent.get("method") ? `${sent.get("method")} ${sent.get("url")}` : ""],
        ["by", `${cell.get("principal")} from ${cell.get("vantage")}, ${cell.get("transport")}`],
        ["headers", sent.get("headers")],
        ["body", sent.get("body_bytes") ? `${sent.get("body_bytes")} bytes` : ""],
        ["signed", sent.get("signed_at") ? new Date(sent.get("signed_at") * 1000).toISOString() : "not signed"],
      ]),
      ...section("Answer", [
        ["status", received.get("status")],
        ["failure", received.get("failure")],
        ["detail", received.get("detail")],
        ["S3's code", measured.get("code")],
        ["S3's message", measured.get("message")],
        ["action S3 named", measured.get("action")],
        ["measured", measured.get("outcome") === counted.get("outcome") ? "" : `${measured.get("outcome")}: ${measured.get("reason")}`],
        ["request id", received.get("request_id")],
        ["headers", received.get("headers")],
      ]),
      ...section("Logs", [
        ["recorded", get("evidence").get("sentence")],
        ["searched", get("evidence").get("sources")],
        ["records", get("evidence").get("records")],
      ]),
      ...section("Network", [
        ["DNS", received.get("dns")],
        ["peer", received.get("peer")],
        ["local", received.get("local")],
        ["TLS", received.get("tls")],
        ["cipher", received.get("cipher")],
        ...milliseconds(received.get("timings")),
      ]),
      ...section("Findings of claims", (cell.get("findings") ?? []).map((text) => {
        const [claim, ...rest] = text.split(": ");
        return [claim, rest.join(": ")];
      })),
    ];
  };
  let opener = null;
  const total = table.querySelectorAll("button[data-n]").length;
  const show = (number) => {
    const cell = cellOf(number);
    opener = table.querySelector(`button[data-n="${number}"]`) ?? document.activeElement;
    $("cell-id").textContent = idOf(data.rows[number]);
    $("evidence").replaceChildren(...evidence(cell));
    if (!dialog.open) dialog.showModal();
    dialog.scrollTop = 0;
  };
  const follow = () => {
    const wanted = /^#cell=(.*)$/.exec(location.hash);
    if (!wanted) return;
    let id = wanted[1];
    try { id = decodeURIComponent(id); } catch { /* as it stands */ }
    const number = data.rows.findIndex((row) => idOf(row) === id);
    if (number >= 0) show(number);
  };
  table.addEventListener("click", (event) => {
    const button = event.target.closest("button[data-n]");
    if (!button) return;
    const hash = `#cell=${encodeURIComponent(idOf(data.rows[button.dataset.n]))}`;
    if (location.hash === hash) follow(); else location.hash = hash;
  });
  $("close").addEventListener("click", () => dialog.close());
  dialog.addEventListener("click", (event) => { if (event.target === dialog) dialog.close(); });
  dialog.addEventListener("close", () => {
    history.replaceState(null, "", location.pathname + location.search);
    if (opener) opener.focus();
  });
  window.addEventListener("hashchange", follow);

  // --- filter and sort -----------------------------------------------------------------------------------------------
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[1].cells].slice(1).map((head) => head.firstChild.textContent);
  const rows = [...body.rows].map((row) => ({
    row,
    names: [...row.cells[0].children].map((part) => part.textContent),
    text: row.cells[0].textContent.toLowerCase(),
    cells: [...row.cells].slice(1),
    failed: row.querySelectorAll(".missed,.open").length,
  }));
  const networks = [];
  for (const head of [...table.tHead.rows[0].cells].slice(1)) {
    const first = networks.length ? networks.at(-1).first + networks.at(-1).count : 0;
    networks.push({ head, first, count: head.colSpan });
  }
  // A column in which nothing is left goes as well: with many vantage points the rest is seen side by side.
  const columns = (used) => {
    [...table.tHead.rows[1].cells].slice(1).forEach((head, number) => { head.hidden = !used[number]; });
    for (const { head, first, count } of networks) {
      const left = used.slice(first, first + count).filter(Boolean).length;
      head.hidden = !left;
      head.colSpan = Math.max(1, left);
    }
    for (const { cells } of rows) cells.forEach((cell, number) => { cell.hidden = !used[number]; });
  };
  const apply = () => {
    const words = $("words").value.toLowerCase().split(/\s+/).filter(Boolean);
    const outcome = $("outcome").value, from = $("from").value;
    const failed = $("failed").checked, uncontrolled = $("uncontrolled").checked, surprising = $("surprising").checked;
    const wanted = (cell) =>
      cell.firstChild && (!outcome || cell.classList.contains(outcome)) &&
      (!failed || cell.classList.contains("missed") || cell.classList.contains("open")) &&
      (!surprising || cell.classList.contains("surprise")) &&
      (!uncontrolled || cell.textContent.includes("uncontrolled"));
    let count = 0;
    const used = heads.map(() => false);
    for (const { row, text, cells } of rows) {
      let any = false;
      const here = words.every((word) => text.includes(word));
      cells.forEach((cell, number) => {
        const on = here && (!from || heads[number] === from) && wanted(cell);
        cell.classList.toggle("off", !on);
        if (on) { any = used[number] = true; count += 1; }
      });
      row.hidden = !any;
    }
    const narrowed = words.length || outcome || from || failed || uncontrolled || surprising;
    columns(narrowed ? used : used.map(() => true));
    $("count").textContent = narrowed ? `${count} of ${total} cells` : `${total} cells`;
  };
  const sort = () => {
    const by = $("sort").value;
    const order = [...rows];
    if (by === "f") order.sort((one, other) => other.failed - one.failed);
    else if (by) order.sort((one, other) => one.names[by].localeCompare(other.names[by]));
    body.append(...order.map(({ row }) => row));
  };
  const form = $("filter");
  form.hidden = false;
  form.addEventListener("submit", (event) => event.preventDefault());
  form.addEventListener("input", (event) => (event.target.id === "sort" ? sort() : apply()));
  apply();
  follow();
})();
