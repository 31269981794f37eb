package guard

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
)

// wordVersion is the version of Word and of its datagram.
const wordVersion = 1

// maxDatagram bounds a datagram, in octets: what goes unfragmented everywhere.
// A question is as long, so that a forged one gains nothing from its reply.
const maxDatagram = 1200

// MinKey is the shortest key, in octets: as strong as HMAC-SHA256 is against
// guessing for as long as it matters here.
const MinKey = 16

// A word is one datagram: a question, or the reply with its Nonce.
type word struct {
	Version   int            `json:"v"`
	Reply     bool           `json:"reply"`
	Nonce     []byte         `json:"nonce"`
	Node      string         `json:"node"`
	Announced []netip.Prefix `json:"announced,omitempty"` // by the node that replies
	Leaving   bool           `json:"leaving,omitempty"`   // it is about to withdraw them
	Pad       string         `json:"pad,omitempty"`
}

// seal returns the datagram of w: its JSON and a MAC over that.
func (w word) seal(key []byte) ([]byte, error) {
	w.Version = wordVersion
	text, err := json.Marshal(w)
	if err != nil {
		return nil, err
	}
	if len(text)+sha256.Size > maxDatagram {
		return nil, fmt.Errorf("a word of %d octets is over the limit", len(text))
	}
	return append(text, mac(key, text)...), nil
}

// open returns the word of a datagram, if somebody with the key has sealed it.
func open(datagram, key []byte) (word, error) {
	cut := len(datagram) - sha256.Size
	if cut < 0 {
		return word{}, errors.New("is too short")
	}
	text := datagram[:cut]
	if !hmac.Equal(datagram[cut:], mac(key, text)) {
		return word{}, errors.New("has another key")
	}
	var w word
	if err := json.Unmarshal(text, &w); err != nil {
		return word{}, err
	}
	if w.Version != wordVersion {
		return word{}, fmt.Errorf("version %d, not %d", w.Version, wordVersion)
	}
	return w, nil
}

func mac(key, text []byte) []byte {
	h := hmac.New(sha256.New, key)
	h.Write(text)
	return h.Sum(nil)
}
