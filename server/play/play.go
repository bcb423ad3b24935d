// Package play holds the nouns that every other package speaks of: files and revisions, jobs and their
// events, plans, diagnostics, limits, viewers and errors. It holds values and their laws only: no clock, no
// randomness, no storage, no network, nothing but the standard library.
package play
