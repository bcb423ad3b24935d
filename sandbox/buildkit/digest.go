package buildkit

import (
	"fmt"

	"github.com/moby/buildkit/solver/pb"
	digest "github.com/opencontainers/go-digest"
)

// ops are the operations of a definition by the digest that the definition has for them.
type ops map[digest.Digest]*pb.Op

func readOps(def *pb.Definition) (ops, error) {
	all := make(ops, len(def.Def))
	for _, raw := range def.Def {
		var op pb.Op
		if err := op.UnmarshalVT(raw); err != nil {
			return nil, fmt.Errorf("read an operation of the definition: %w", err)
		}
		all[digest.FromBytes(raw)] = &op
	}
	return all, nil
}

// solved maps the digests of a definition to those that the daemon reports. With the proxy network the daemon
// marks every exec operation that has a network, which changes its digest and those of everything built on it.
// The same is done in solver/llbsolver/vertex.go: recomputeDigests.
func solved(all ops) (map[digest.Digest]digest.Digest, error) {
	done := make(map[digest.Digest]digest.Digest, len(all))
	var visit func(digest.Digest) (digest.Digest, error)
	visit = func(d digest.Digest) (digest.Digest, error) {
		if to, ok := done[d]; ok {
			return to, nil
		}
		op, ok := all[d]
		if !ok {
			return "", fmt.Errorf("the definition lacks the operation %s", d)
		}
		copied := op.CloneVT()
		for _, in := range copied.Inputs {
			to, err := visit(digest.Digest(in.Digest))
			if err != nil {
				return "", err
			}
			in.Digest = string(to)
		}
		raw, err := copied.Marshal()
		if err != nil {
			return "", fmt.Errorf("write an operation of the definition: %w", err)
		}
		if e := op.GetExec(); e != nil && e.Network != pb.NetMode_NONE {
			raw = append(raw, "\x00buildkit.proxy-network.v0"...)
		}
		done[d] = digest.FromBytes(raw)
		return done[d], nil
	}
	for d := range all {
		if _, err := visit(d); err != nil {
			return nil, err
		}
	}
	return done, nil
}
