package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/miekg/dns"

	"proxima/cache"
	"proxima/clock"
)

// What a daemon knew is known to the next one, without asking anybody: the servers
// of the root are silent here.
func TestServe_keepsItsCacheOverARestart(t *testing.T) {
	file := filepath.Join(t.TempDir(), "cache")
	settings := "cache: {snapshot: " + file + "}\n"
	n := startNode(t, settings)
	m := new(dns.Msg)
	m.SetQuestion("www.kept.example.", dns.TypeA)
	rr, err := dns.NewRR("www.kept.example. 300 IN A 192.0.2.1")
	if err != nil {
		t.Fatal(err)
	}
	m.Response, m.Answer = true, []dns.RR{rr}
	packet, err := m.Pack()
	if err != nil {
		t.Fatal(err)
	}
	a, err := cache.NewAnswer(packet, cache.Meta{At: clock.Now().Add(-100 * time.Second)})
	if err != nil {
		t.Fatal(err)
	}
	n.answers.Put(a)
	n.stop(t)

	n = startNode(t, settings)
	await(t, "the cache is restored", func() bool { return n.answers.Stats().Entries == 1 })
	if _, err := os.Stat(file); !os.IsNotExist(err) {
		t.Errorf("the file of the last stop is still there: %v", err)
	}
	q := new(dns.Msg)
	q.SetQuestion("www.kept.example.", dns.TypeA)
	r, err := dns.Exchange(q, n.dns)
	if err != nil {
		t.Fatal(err)
	}
	if len(r.Answer) != 1 || r.Answer[0].Header().Ttl > 200 || r.Answer[0].Header().Ttl < 150 {
		t.Errorf("got %v", r)
	}
}

func TestKeptAnswers_restOnTheSettings(t *testing.T) {
	digest := func(text string) cache.Digest {
		f, err := keptAnswers(mustParse(t, text), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		return f.Rests
	}
	const stub = "recursion: {stub: [{zone: lab.example., servers: [192.0.2.54]}]}\n"
	for _, same := range []string{"", stub} {
		if first, second := digest(same), digest(same); first != second {
			t.Errorf("%q has two digests", same)
		}
	}
	for _, other := range []string{
		stub, "dnssec: {validate: false}\n", "dnssec: {negative_trust_anchors: [broken.example.]}\n", "cache: {max_ttl: 1h}\n",
		"dnssec: {trust_anchors: [\". IN DS 20326 8 2 E06D44B80B8F1D39A95C0B0D7C65D08458E880409BBC683457104237C7F8EC8D\"]}\n",
	} {
		if digest(other) == digest("") {
			t.Errorf("%q changes nothing", other)
		}
	}
	if digest("log: {level: debug}\n") != digest("") {
		t.Error("the level of the log changes what answers rest on")
	}
}
