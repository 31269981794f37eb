// Package corpus knows the scenario files of Unbound and of Knot Resolver's
// Deckard: what their settings mean in the language of test/scenario, and which
// files are not for Proxima, because they test what it does not have or has in
// its own way.
//
// Settings translates the lines before CONFIG_END; Word, Record and Special look
// at what follows. What makes a file unfit is given as a reason in words, so
// that skipped files can be counted by it. It plays nothing: test/scenario does.
package corpus
