// Package config turns a configuration file into checked values.
//
// The text of a file becomes a tree of YAML nodes, each with its line. A table
// of keys, one for proxima's file (Node) and one for the sidecar's (Sidecar),
// says where each value goes and what it may be; a reader walks tree and table
// together. Rules between keys come last. Whatever is wrong is collected and
// returned at once as Problems, each with its line, its key and what is
// allowed, so that a file is mended in one go.
//
// A file says everything as plain mappings, lists and scalars: anchors, tags,
// tabs in the indentation and further documents are refused.
package config
