package router

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/protocols/listen"
)

const (
	// maxInstances is the most streams that publishers may have made at one time.
	maxInstances = 10_000

	// InstanceLinger is how long such a stream stays after its publisher has left.
	InstanceLinger = time.Minute
)

var errInstances = errors.New("as many streams as there may be have been made of templates and in vhosts")

// Instances are the streams that publishers have made of templates and in virtual hosts, so that the file does not name
// them. Any goroutine may use them.
type Instances struct {
	// Belongs says whether a publisher may make a stream of that name: the file has a template or a virtual host for it.
	Belongs func(name string) bool

	// Reserved says why a stream cannot have a name; nil means that it can.
	Reserved func(name string) error

	// Now is the time by a clock that is not set.
	Now func() time.Duration

	// Changed is called after there are other streams than before.
	Changed func()

	mu   sync.Mutex
	seen map[string]time.Duration // by name, when it last had a publisher; guarded by mu
}

// Make makes a stream for a publisher, unless it is made already. The error is [listen.ErrNotFound] for a name that
// belongs to no template and no virtual host.
func (i *Instances) Make(name string) error {
	if !i.Belongs(name) {
		return listen.ErrNotFound
	}
	if err := i.Reserved(name); err != nil {
		return fmt.Errorf("%w: %w", listen.ErrReserved, err)
	}
	i.mu.Lock()
	_, have := i.seen[name]
	full := !have && len(i.seen) >= maxInstances
	if i.seen == nil {
		i.seen = map[string]time.Duration{}
	}
	if !full {
		i.seen[name] = i.Now()
	}
	i.mu.Unlock()
	switch {
	case full:
		return fmt.Errorf("%w: %w", listen.ErrUnavailable, errInstances)
	case !have:
		i.Changed()
	}
	return nil
}

// Names are those of all instances, in order.
func (i *Instances) Names() []string {
	i.mu.Lock()
	defer i.mu.Unlock()
	return slices.Sorted(maps.Keys(i.seen))
}

// Sweep forgets the streams that have had no publisher for [InstanceLinger]; published says which have one now, which is by
// the clock of Now. It is to be called every few seconds.
func (i *Instances) Sweep(now time.Duration, published func(name string) bool) {
	i.mu.Lock()
	some := false
	for name, last := range i.seen {
		switch {
		case published(name):
			i.seen[name] = now
		case now-last >= InstanceLinger:
			delete(i.seen, name)
			some = true
		}
	}
	i.mu.Unlock()
	if some {
		i.Changed()
	}
}
