package ports

import "testing"

func TestCheck(t *testing.T) {
	tests := []struct {
		name     string
		ports    string
		reserved string
		ok       bool
	}{
		{"Linux's default", "32768\t60999\n", "\n", true},
		{"exactly enough", "1024 29023", "", true},
		{"one too few", "1025 29023", "", false},
		{"nonsense", "many", "", false},
		{"a few are reserved", "32768 60999", "40000,50000-50230\n", true},
		{"one too many is reserved", "32768 60999", "40000,50000-50231\n", false},
		{"others are reserved", "32768 60999", "53,1024-32767,61000-65535\n", true},
		{"others and some of these", "32768 60999", "1024-33000\n", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := check(tt.ports, tt.reserved); (err == nil) != tt.ok {
				t.Errorf("err = %v, want success %t", err, tt.ok)
			}
		})
	}
}
