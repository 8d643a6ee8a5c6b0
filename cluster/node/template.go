package node

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"weir/cluster/conf"
	"weir/protocols/listen"
)

const (
	// maxInstances is the most streams that publishers may have made of templates at one time.
	maxInstances = 10_000

	// forgotten is how long such a stream stays after its publisher has left.
	forgotten = time.Minute
)

var errInstances = errors.New("as many streams as there may be have been made of templates and in vhosts")

// Instances are the streams that publishers have made of templates and in virtual hosts.
type instances struct {
	mu   sync.Mutex
	seen map[string]time.Duration // by name, when it last had a publisher
}

// streams are those whose template or virtual host the file still has.
func (i *instances) streams(f *conf.File) (out []conf.Stream) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, name := range slices.Sorted(maps.Keys(i.seen)) {
		if s, ok := f.Open(name, true); ok {
			out = append(out, s)
		}
	}
	return out
}

// add takes a stream in, and says whether it is new.
func (i *instances) add(name string, now time.Duration) (added bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	_, have := i.seen[name]
	if !have && len(i.seen) >= maxInstances {
		return false, errInstances
	}
	if i.seen == nil {
		i.seen = map[string]time.Duration{}
	}
	i.seen[name] = now
	return !have, nil
}

// sweep drops the streams that have had no publisher for long, and says whether there were any.
func (i *instances) sweep(now time.Duration, published func(name string) bool) (dropped bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for name, last := range i.seen {
		switch {
		case published(name):
			i.seen[name] = now
		case now-last >= forgotten:
			delete(i.seen, name)
			dropped = true
		}
	}
	return dropped
}

// instantiate makes a stream of the template, or in the virtual host, that a name belongs to; an error if there is none.
func (n *Node) instantiate(name string) error {
	f := n.file()
	if _, ok := f.Open(name, false); !ok {
		return listen.ErrNotFound
	}
	if err := conf.CheckName(name, f.BalancerNames()); err != nil {
		return fmt.Errorf("%w: %w", listen.ErrReserved, err)
	}
	added, err := n.instances.add(name, n.env.Now())
	if err != nil {
		return fmt.Errorf("%w: %w", listen.ErrUnavailable, err)
	}
	if added {
		n.rederive()
	}
	return nil
}

// forgetInstances drops the streams of templates that nobody has published for a while.
func (n *Node) forgetInstances() {
	published := func(name string) bool {
		_, is, ok := n.streams.Get(name)
		return ok && is.Publisher != ""
	}
	if n.instances.sweep(n.env.Now(), published) {
		n.rederive()
	}
}
