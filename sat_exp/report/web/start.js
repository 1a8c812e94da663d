if (atlas) {
  startSearch();
  if (document.getElementById("map")) drawMap();
  if (document.getElementById("plane")) drawPlane();
  show();
}
page.removeAttribute("aria-busy");
