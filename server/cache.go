package server

import (
	"sync"

	"github.com/hashicorp/golang-lru/v2/simplelru"
	"golang.org/x/sync/singleflight"
)

// A cache keeps what was made last, up to a total cost in bytes, and makes a thing once however many ask.
type cache[V any] struct {
	most   int
	flight singleflight.Group

	mu   sync.Mutex
	cost int
	of   *simplelru.LRU[string, costed[V]]
}

type costed[V any] struct {
	value V
	cost  int
}

func newCache[V any](most int) *cache[V] {
	c := &cache[V]{most: most}
	// The bound is the cost; the count only has to be out of its way. NewLRU errs only for a size below 1.
	c.of, _ = simplelru.NewLRU(1<<20, func(_ string, v costed[V]) { c.cost -= v.cost })
	return c
}

// get is what is kept under key, or what fresh makes, which says its cost in bytes.
func (c *cache[V]) get(key string, fresh func() (V, int, error)) (V, error) {
	if kept, ok := c.peek(key); ok {
		return kept, nil
	}
	v, err, _ := c.flight.Do(key, func() (any, error) {
		v, cost, err := fresh()
		if err == nil {
			c.put(key, v, cost)
		}
		return v, err
	})
	if err != nil {
		var none V
		return none, err
	}
	return v.(V), nil
}

// peek is what is kept under key, if anything is.
func (c *cache[V]) peek(key string) (V, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	kept, ok := c.of.Get(key)
	return kept.value, ok
}

func (c *cache[V]) put(key string, v V, cost int) {
	if cost > c.most {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.of.Remove(key)
	c.of.Add(key, costed[V]{v, cost})
	c.cost += cost
	for c.cost > c.most {
		c.of.RemoveOldest()
	}
}
