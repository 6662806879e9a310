// Importing a project: the file goes as it is, with how far it is; the page of the new project shows the rest.

const form = document.getElementById("import");
const file = form.elements.file;
const button = form.querySelector("[data-send]");
const bar = form.querySelector("[data-progress]");
const problem = form.querySelector("[data-problem]");
button.disabled = false;

file.addEventListener("change", () => {
  const name = form.elements.name;
  if (name.value || !file.files.length) return;
  const plain = file.files[0].name.toLowerCase().replace(/\.(aen\.)?(tar\.gz|tgz)$/, "").replace(/ \(\d+\)$/, "");
  name.value = plain.replace(/[^a-z0-9._-]+/g, "-").replace(/^[^a-z0-9]+|[^a-z0-9]+$/g, "").slice(0, 63);
});

function fail(text) {
  problem.textContent = text;
  problem.hidden = false;
  bar.hidden = true;
  button.disabled = false;
}

form.addEventListener("submit", (event) => {
  event.preventDefault();
  problem.hidden = true;
  bar.hidden = false;
  button.disabled = true;
  const query = new URLSearchParams({ name: form.elements.name.value.trim() });
  if (form.elements.datacenter) query.set("datacenter", form.elements.datacenter.value);
  const request = new XMLHttpRequest();
  request.open("POST", `${form.dataset.url}?${query}`);
  request.setRequestHeader("X-CSRF-Token", document.body.dataset.csrf);
  request.setRequestHeader("Content-Type", "application/gzip");
  request.responseType = "json";
  request.upload.addEventListener("progress", (told) => { if (told.lengthComputable) bar.value = told.loaded / told.total; });
  request.addEventListener("load", () => {
    if (request.status !== 202) return fail(request.response?.error?.message || form.dataset.wrong);
    location.assign(`/${request.response.project.slug}/archive`);
  });
  request.addEventListener("error", () => fail(form.dataset.wrong));
  request.send(file.files[0]);
});
