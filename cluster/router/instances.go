package router

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
	"sync"
	"time"

	"weir/protocols"
	"weir/protocols/listen"
)

// InstanceLinger is how long a stream that a publisher has made stays after its publisher has left.
const InstanceLinger = time.Minute

var (
	errInstances          = errors.New("as many streams as there may be have been made of templates and in vhosts")
	errInstancesOfAddress = errors.New("one address has made as many streams of templates and in vhosts as it may")
)

// Instances are the streams that publishers have made of templates and in virtual hosts, so that the file does not name
// them. Any goroutine may use them. What a new one costs does not depend on how many there are.
type Instances struct {
	// Belongs says whether a publisher may make a stream of that name: the file has a template or a virtual host for it.
	Belongs func(name string) bool

	// Reserved says why a stream cannot have a name; nil means that it can.
	Reserved func(name string) error

	// Limits are the most streams there may be, and the most of one address; 0 is no limit.
	Limits func() (all, perAddress int)

	// Limiter says which addresses are limited, and counts publishers that are refused.
	Limiter *listen.Limiter

	// Now is the time by a clock that is not set.
	Now func() time.Duration

	// Changed is called after these streams have come or gone. Which of both it is, [Instances.Has] says.
	Changed func(names []string)

	mu        sync.Mutex
	seen      map[string]*instance // by name
	byAddress map[netip.Prefix]int // no zero entries
}

// An instance is a stream that a publisher has made.
type instance struct {
	last  time.Duration // when it last had a publisher
	from  netip.Prefix  // of the publisher that made it; the zero one if it does not count for an address
	ready chan struct{} // closed when Changed has been called
}

// Make makes a stream for a publisher, unless it is made already. The error is [listen.ErrNotFound] for a name that
// belongs to no template and no virtual host.
func (i *Instances) Make(name string, p protocols.Protocol, from netip.AddrPort) error {
	if !i.Belongs(name) {
		return listen.ErrNotFound
	}
	if err := i.Reserved(name); err != nil {
		return fmt.Errorf("%w: %w", listen.ErrReserved, err)
	}
	made, before, err := i.take(name, p, from)
	switch {
	case err != nil:
		return fmt.Errorf("%w: %w", listen.ErrUnavailable, err)
	case before:
		<-made.ready
	default:
		i.Changed([]string{name})
		close(made.ready)
	}
	return nil
}

// take gives the stream of that name, which was there before, or is new.
func (i *Instances) take(name string, p protocols.Protocol, from netip.AddrPort) (made *instance, before bool, err error) {
	i.mu.Lock()
	defer i.mu.Unlock()
	if made = i.seen[name]; made != nil {
		made.last = i.Now()
		return made, true, nil
	}
	all, perAddress := i.Limits()
	of, limited := i.Limiter.Network(from.Addr())
	switch {
	case all > 0 && len(i.seen) >= all:
		i.Limiter.Refuse(listen.LimitNames, p, from.String())
		return nil, false, errInstances
	case limited && perAddress > 0 && i.byAddress[of] >= perAddress:
		i.Limiter.Refuse(listen.LimitNamesOfAddress, p, from.String())
		return nil, false, errInstancesOfAddress
	}
	if i.seen == nil {
		i.seen, i.byAddress = map[string]*instance{}, map[netip.Prefix]int{}
	}
	made = &instance{last: i.Now(), from: of, ready: make(chan struct{})}
	i.seen[name] = made
	if limited {
		i.byAddress[of]++
	}
	return made, false, nil
}

// Has says whether a publisher has made a stream of that name.
func (i *Instances) Has(name string) bool {
	i.mu.Lock()
	defer i.mu.Unlock()
	return i.seen[name] != nil
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
	var gone []string
	i.mu.Lock()
	for name, made := range i.seen {
		switch {
		case published(name):
			made.last = now
		case now-made.last >= InstanceLinger:
			delete(i.seen, name)
			if i.byAddress[made.from]--; i.byAddress[made.from] <= 0 {
				delete(i.byAddress, made.from)
			}
			gone = append(gone, name)
		}
	}
	i.mu.Unlock()
	if len(gone) > 0 {
		i.Changed(gone)
	}
}
