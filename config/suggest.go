package config

import "strings"

// maxTypos is how many letters may be wrong, missing or too many for a key
// still to be suggested. Fixed at 2: with 3, unlike words begin to match.
const maxTypos = 2

// suggest returns ", did you mean …?" with the field most like name, or nothing.
func suggest(name string, fields []field) string {
	best, least := "", maxTypos+1
	for _, f := range fields {
		if len(name) > len(f.name)+maxTypos {
			continue
		}
		if n := typos(strings.ToLower(name), f.name); n < least && n <= len(f.name)/2 {
			best, least = f.name, n
		}
	}
	if best == "" {
		return ""
	}
	return ", did you mean " + best + "?"
}

// typos is the edit distance of a and b in octets.
func typos(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		corner := row[0] // the distance of a[:i] and b[:j]
		row[0] = i + 1
		for j := range len(b) {
			above := row[j+1]
			change := corner
			if a[i] != b[j] {
				change++
			}
			row[j+1] = min(change, above+1, row[j]+1)
			corner = above
		}
	}
	return row[len(b)]
}

func names(fields []field) string {
	all := make([]string, len(fields))
	for i, f := range fields {
		all[i] = f.name
	}
	return strings.Join(all, ", ")
}

// restarts reports whether a key asks for BGP graceful restart, in whatever
// spelling (RFC 4724, RFC 9494).
func restarts(key string) bool {
	letters := strings.ToLower(strings.NewReplacer("_", "", "-", "", " ", "").Replace(key))
	return strings.Contains(letters, "gracefulrestart") || letters == "gr" || letters == "llgr"
}
