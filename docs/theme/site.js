// Wide tables and code scroll: by the keyboard too. The theme wraps tables while the page loads.
addEventListener("load", () => {
  for (const wide of document.querySelectorAll(".md-typeset__scrollwrap, pre > code")) wide.tabIndex = 0;
});
