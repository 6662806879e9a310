// Coming back: after a restart of AEN or a gap in the network, kernels and terminals of this page are connected again as soon
// as AEN answers. JupyterLab alone waits 10 to 30 s after a connection that was refused, gives up after seven, and opens a
// dialog that covers the page until somebody closes it; here a small note says what goes on. Written by hand in the form that
// Jupyter loads (a container with `init` and `get`), so that nothing has to be built.
(() => {
  const LOOK_MS = 1000; // between two looks at this page's connections: nothing is asked of AEN then
  const LONGEST_MS = 5000; // between two questions whether AEN is there
  const BACK_MS = 4000; // how long the page says that it is connected again
  const ENDED_MS = 60000; // before asking again whether somebody has signed in, in another tab
  const PATIENCE_MS = 10000; // for connections to come up once it is
  // In the reader's language: the server puts the translations of every say("…") into the page.
  const told = JSON.parse(document.getElementById("jupyter-config-data")?.textContent || "{}");
  const translated = told.aenWords ? JSON.parse(told.aenWords) : {};
  const say = (text) => translated[text] ?? text;
  const WORDS = {
    lost: say("AEN can't be reached. Your kernels go on; this page comes back to them by itself."),
    back: say("Connected again."),
    ended: say("Your login has ended. Save a copy of what you have not saved, then load this page again to sign in."),
  };
  const LOOK = {
    position: "fixed", right: "12px", bottom: "36px", zIndex: "10000", maxWidth: "min(420px, 80vw)", padding: "10px 14px",
    background: "var(--jp-layout-color1, #fff)", color: "var(--jp-ui-font-color1, #222)",
    border: "1px solid var(--jp-border-color1, #999)", borderLeft: "4px solid var(--jp-warn-color0, #b35900)",
    borderRadius: "4px", boxShadow: "0 2px 8px rgba(0, 0, 0, 0.3)", fontSize: "var(--jp-ui-font-size1, 13px)",
  };
  let shared = {};

  async function load(name) {
    const versions = Object.values(shared[name] || {});
    return versions.length ? (await versions[0].get())() : null;
  }

  const pause = (ms) => new Promise((go) => setTimeout(go, ms));

  // Kernels and terminals that this page shows.
  function* connections(shell) {
    for (const area of ["main", "down", "left", "right"]) {
      let widgets = [];
      try { widgets = [...shell.widgets(area)]; } catch { continue; } // Notebook has fewer areas
      for (const widget of widgets) {
        const context = widget.sessionContext || widget.context?.sessionContext || widget.content?.sessionContext;
        const kernel = context?.session?.kernel;
        if (kernel && !kernel.isDisposed && !["dead", "terminating"].includes(kernel.status)) yield kernel;
        const terminal = widget.content?.session;
        if (terminal && !terminal.isDisposed && terminal.reconnect && terminal.connectionStatus) yield terminal;
      }
    }
  }

  class Return {
    constructor(app) {
      this.app = app;
      this.note = null;
      this.known = new WeakSet(); // those that were connected once: a first connection is JupyterLab's own business
      this.busy = false;
    }

    lost() {
      const all = [...connections(this.app.shell)];
      for (const one of all) if (one.connectionStatus === "connected") this.known.add(one);
      return all.filter((one) => one.connectionStatus !== "connected" && this.known.has(one));
    }

    // "there", "gone", or "ended": the login.
    async ask() {
      const { serverSettings } = this.app.serviceManager;
      try {
        const answer = await fetch(`${serverSettings.baseUrl}api`, { cache: "no-store", redirect: "manual" });
        if (answer.ok) return "there";
        return answer.status === 401 || answer.type === "opaqueredirect" ? "ended" : "gone";
      } catch {
        return "gone";
      }
    }

    // Wait until AEN answers, then connect what is not connected. One at a time.
    async recover() {
      if (this.busy) return;
      this.busy = true;
      try {
        let found = await this.ask();
        for (let wait = LOOK_MS; found === "gone"; wait = Math.min(wait * 1.5, LONGEST_MS)) {
          this.tell(WORDS.lost);
          await pause(wait * (0.75 + Math.random() / 2)); // not all pages at the same moment
          found = await this.ask();
        }
        if (found === "ended") {
          this.tell(WORDS.ended);
          await pause(ENDED_MS);
          return;
        }
        await Promise.race([this.connect(), pause(PATIENCE_MS)]);
        if (this.note) await this.done();
      } finally {
        this.busy = false;
      }
    }

    async connect() {
      await Promise.allSettled(this.lost().map((one) => one.reconnect()));
    }

    // At the foot of the page, in no one's way. Not JupyterLab's own notifications: the first of them loads code from the server.
    tell(words) {
      if (!this.note) {
        this.note = document.createElement("div");
        this.note.id = "aen-return";
        this.note.setAttribute("role", "status");
        Object.assign(this.note.style, LOOK);
        document.body.append(this.note);
      }
      if (this.note.textContent !== words) this.note.textContent = words;
    }

    async done() {
      this.tell(WORDS.back);
      await pause(BACK_MS);
      this.note.remove();
      this.note = null;
    }

    async watch() {
      let before = new Set();
      for (;;) {
        const lost = this.lost();
        if (lost.some((one) => before.has(one))) await this.recover(); // not for one that is just coming back
        before = new Set(lost);
        await pause(LOOK_MS);
      }
    }
  }

  async function plugin() {
    const application = await load("@jupyterlab/application");
    return {
      id: "aen-return:plugin",
      autoStart: true,
      // Else JupyterLab says it by a dialog (`config/labconfig/page_config.json` turns off whose place this takes).
      ...(application ? { provides: application.IConnectionLost } : {}),
      async activate(app) {
        const back = new Return(app);
        void back.watch();
        return async () => { void back.recover(); };
      },
    };
  }

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["aen-return"] = {
    init: async (scope) => { shared = scope; },
    get: async () => {
      const made = await plugin();
      return () => ({ __esModule: true, default: made });
    },
  };
})();
