//go:build race

package cache

func init() { raced = true }
