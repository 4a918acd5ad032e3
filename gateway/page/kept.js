// What outlives a reload of this tab, and nothing more.

export function stored(name) {
  try {
    return sessionStorage.getItem(name);
  } catch {
    return null;
  }
}

export function store(name, text) {
  try {
    sessionStorage.setItem(name, text);
  } catch {
    // A browser that keeps nothing, or not so much: then it does not.
  }
}

// Keeps what is typed into an element.
export function keep(element, name) {
  element.value = stored(name) ?? element.value;
  element.addEventListener("input", () => store(name, element.value));
}
