package corpus

import (
	"reflect"
	"testing"

	"github.com/miekg/dns"
)

func TestSettings_Line(t *testing.T) {
	tests := []struct {
		name  string
		lines []string
		want  []Setting
	}{
		{"what stands before any section is of server", []string{"do-ip6: no"}, []Setting{{"server:", "do-ip6:", "no"}}},
		{"a section begins", []string{"server:", "do-ip6: no"}, []Setting{{Section: "server:"}, {"server:", "do-ip6:", "no"}}},
		{"several settings stand on one line", []string{`forward-zone: name: "." forward-addr: 192.0.2.1`},
			[]Setting{{Section: "forward-zone:"}, {"forward-zone:", "name:", "."}, {"forward-zone:", "forward-addr:", "192.0.2.1"}}},
		{"quotes hold a value together", []string{`val-override-date: "20070916134226"`, `cache-max-ttl: '60'`},
			[]Setting{{"server:", "val-override-date:", "20070916134226"}, {"server:", "cache-max-ttl:", "60"}}},
		{"a date may be a number of seconds", []string{"val-override-timestamp: 1442323400"},
			[]Setting{{"server:", "val-override-date:", "20150915132320"}}},
		{"on and off are yes and no", []string{"query-minimization: off", "do-ip4: True"},
			[]Setting{{"server:", "qname-minimisation:", "no"}, {"server:", "do-ip4:", "yes"}}},
		{"Deckard's stub-addr is a server of the root", []string{"stub-addr: 192.0.2.1", "do-ip6: no"},
			[]Setting{{Section: "stub-zone:"}, {"stub-zone:", "name:", "."}, {"stub-zone:", "stub-addr:", "192.0.2.1"}, {Section: "server:"}, {"server:", "do-ip6:", "no"}}},
		{"Deckard's forward-addr forwards everything", []string{"forward-addr: 192.0.2.1"},
			[]Setting{{Section: "forward-zone:"}, {"forward-zone:", "name:", "."}, {"forward-zone:", "forward-addr:", "192.0.2.1"}, {Section: "server:"}}},
		{"a record of an anchor stays whole", []string{"trust-anchor: . 3600 IN DS 1 13 2 00"}, []Setting{{"server:", "trust-anchor:", ". 3600 IN DS 1 13 2 00"}}},
		{"what means nothing here is left out", []string{`target-fetch-policy: "0 0 0 0 0"`, "access-control: 192.0.2.0/24 allow", "features:"}, nil},
		{"what nobody knows stays", []string{"luck: good"}, []Setting{{"server:", "luck:", "good"}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Settings
			var got []Setting
			for _, line := range tt.lines {
				all, unfit := s.Line(line)
				if unfit != "" {
					t.Fatalf("%s: unfit: %s", line, unfit)
				}
				got = append(got, all...)
			}
			if !reflect.DeepEqual(got, tt.want) {
				t.Errorf("got  %q\nwant %q", got, tt.want)
			}
		})
	}
}

func TestSettings_Line_unfit(t *testing.T) {
	tests := []struct{ name, line, want string }{
		{"local data", `local-data: "a.example. IN A 192.0.2.1"`, unfitLocal},
		{"a zone to serve", "auth-zone:", unfitTransfer},
		{"a policy zone", "rpz:", unfitRPZ},
		{"a view", "view:", unfitLocal},
		{"another access control than allow", "access-control: 192.0.2.1 allow_snoop", "access control"},
		{"client subnets", "send-client-subnet: 192.0.2.1", unfitECS},
		{"a module", `module-config: "python validator iterator"`, "modules of Unbound"},
		{"a switch of kresd", "features: min_ttl = 300", unfitKresd},
		{"a date that is none", `val-override-date: "-1"`, "signatures that never expire"},
		{"an anchor of DSA", "trust-anchor: example. 3600 IN DS 2854 3 1 00", unfitDSA},
		{"a state file", "AUTOTRUST_FILE example.com", unfitState},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if all, got := new(Settings).Line(tt.line); got != tt.want {
				t.Errorf("unfit for %q, want %q; settings %q", got, tt.want, all)
			}
		})
	}
}

func TestSettings(t *testing.T) {
	tests := []struct {
		name string
		line string
		want Settings
	}{
		{"a file of Unbound's", "do-ip6: no", Settings{}},
		{"a setting of Deckard's", "stub-name: ns.example.", Settings{Deckard: true}},
		{"a validator", `module-config: "validator iterator"`, Settings{}},
		{"no validator", `module-config: "iterator"`, Settings{IteratorOnly: true}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			var s Settings
			s.Line(tt.line)
			if s != tt.want {
				t.Errorf("got %+v, want %+v", s, tt.want)
			}
		})
	}
}

func TestRecord(t *testing.T) {
	const small, large = "AwEAAcUlFV1vhmqx6NSOUOq2R/dsR7Xm3upJj7IommWSpJABVfW8Q0rOvXdM6kzt+TAu92L9AbsUdblMFin8CVF3n4s=",
		"AwEAAb1XXO34qbdu+A0BRF9UD0SFIxtK3MTCn1zwNKZ2IgQrRbXlkHvd02EtXu6AmK7Oq8aoD9ixsYOdM9YE4K/EM1t5pGOGXh9INfkyIwJmuHtDTHbKZm+lIUp1xk2CsLm6mHUC08EiUO4Tl11GcKvMZC8J0DVrIbDwLTjU7VYTv3tR"
	tests := []struct{ name, record, want string }{
		{"a signature of DSA", "a.example. RRSIG A 3 2 60 20200101000000 20190101000000 1 example. AA==", unfitDSA},
		{"a DS of DSA", "example. DS 1 6 2 00", unfitDSA},
		{"an RSA key of 512 bits", "example. DNSKEY 257 3 8 " + small, "RSA keys below 1024 bits"},
		{"one of 1024 bits is fit", "example. DNSKEY 257 3 8 " + large, ""},
		{"a short key of another algorithm is fit", "example. DNSKEY 257 3 13 AAAA", ""},
		{"any other record is fit", "a.example. A 192.0.2.1", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			rr, err := dns.NewRR(tt.record)
			if err != nil {
				t.Fatal(err)
			}
			if got := Record(rr); got != tt.want {
				t.Errorf("unfit for %q, want %q", got, tt.want)
			}
		})
	}
}

func TestQuestion(t *testing.T) {
	for name, fit := range map[string]bool{"www.example.": true, "WWW.Test.": false, "1.10.in-addr.arpa.": false, "test.example.": true} {
		if got := Question(name); (got == "") != fit {
			t.Errorf("%s: unfit for %q, want fit %t", name, got, fit)
		}
	}
}
