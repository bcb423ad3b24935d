package buildkit

import (
	"context"

	"github.com/moby/buildkit/session/auth"
	"google.golang.org/grpc"
)

// pushCredentials lets the daemon push this build's image, and nothing else: it knows one host, and never fetches
// a token for a realm that a registry names.
type pushCredentials struct {
	auth.UnimplementedAuthServer
	host, user, password string
}

func (p pushCredentials) Register(s *grpc.Server) { auth.RegisterAuthServer(s, p) }

func (p pushCredentials) Credentials(_ context.Context, r *auth.CredentialsRequest) (*auth.CredentialsResponse, error) {
	if r.Host != p.host {
		return &auth.CredentialsResponse{}, nil
	}
	return &auth.CredentialsResponse{Username: p.user, Secret: p.password}, nil
}
