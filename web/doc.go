// Package web draws: a view in, HTML out. It holds the pages and fragments (templ), the TypeScript and CSS
// behind them (src), and the built assets that the program carries (static). It never sees storage, requests
// or the clock, and decides nothing about who may do what.
//
// Every page works without script, by forms and links. With it, the editor is CodeMirror and a build is live:
// plain fetch, EventSource and a morph of elements by id. htmx was measured and left out: its 13 KB would
// replace about sixty lines.
//
// No inline script, handler or style attribute exists: colours of steps are classes. So a page needs no more
// than script-src 'self' and style-src 'self'; CodeMirror adds its styles with the editor page's nonce.
package web

//go:generate go tool templ generate
