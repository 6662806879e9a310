// A way back: the project's name at the top of JupyterLab and Notebook leads to its page in AEN. Written by hand in the form
// that Jupyter loads (a container with `init` and `get`), so that nothing has to be built.
(() => {
  let shared = {};

  async function widgets() {
    const versions = Object.values(shared["@lumino/widgets"] || {});
    return versions.length ? (await versions[0].get())() : null;
  }

  // Texts in the reader's language: the server puts the translations of every say("…") into the page.
  function say(text, values) {
    const told = JSON.parse(document.getElementById("jupyter-config-data").textContent);
    const words = told.aenWords ? JSON.parse(told.aenWords) : {};
    return (words[text] ?? text).replace(/\{(\w+)\}/g, (whole, name) => values[name] ?? whole);
  }

  function link(address, project) {
    const node = document.createElement("div");
    const anchor = document.createElement("a");
    anchor.href = address;
    anchor.id = "aen-home-link";
    anchor.title = say("To the page of {project} in AEN. Kernels go on.", { project });
    anchor.textContent = `‹ ${project}`;
    Object.assign(anchor.style, {
      display: "block", padding: "0 10px", lineHeight: "var(--jp-private-menubar-height, 28px)", maxWidth: "30vw",
      overflow: "hidden", textOverflow: "ellipsis", whiteSpace: "nowrap",
      color: "var(--jp-content-link-color, #2f4fd8)", fontSize: "var(--jp-ui-font-size1, 13px)", textDecoration: "none",
    });
    node.append(anchor);
    return node;
  }

  const plugin = {
    id: "aen-home:plugin",
    autoStart: true,
    async activate(app) {
      const told = JSON.parse(document.getElementById("jupyter-config-data").textContent);
      const lumino = await widgets();
      if (!lumino || !/^https?:\/\//.test(told.aenHome || "")) return;
      const widget = new lumino.Widget({ node: link(told.aenHome, told.aenProject) });
      widget.id = "aen-home";
      // Notebook folds its top away on a narrow screen; beside its menus the link stays.
      app.shell.add(widget, /notebook/i.test(app.name) ? "menu" : "top", { rank: 1 });
    },
  };

  window._JUPYTERLAB = window._JUPYTERLAB || {};
  window._JUPYTERLAB["aen-home"] = {
    init: async (scope) => { shared = scope; },
    get: async () => () => ({ __esModule: true, default: plugin }),
  };
})();
