// What scrolls sideways can be reached by keyboard.
document$.subscribe(() => document.querySelectorAll(".md-typeset__scrollwrap, pre > code").forEach(element => { element.tabIndex = 0; }));
