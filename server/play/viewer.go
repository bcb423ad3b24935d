package play

import "crypto/sha256"

// Viewer is who is asking. A visitor without an account is known by a secret that only their browser or
// client holds; ID is derived from it and is safe to store and compare.
type Viewer struct {
	ID   string // "" for someone who has shown no secret
	Addr string // network address, for limits
}

// VisitorID is the viewer's ID for a secret.
func VisitorID(secret string) string {
	h := sha256.Sum256([]byte("slipway visitor\x00" + secret))
	return Name(h[:], 22)
}
