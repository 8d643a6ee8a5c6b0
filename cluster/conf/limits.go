package conf

import (
	"maps"
	"strconv"
	"time"

	"weir/protocols"
)

// The defaults of the limits for clients.
const (
	DefaultConnectionsPerAddress = 2000
	DefaultRequestBodyTimeout    = time.Minute
	DefaultNames                 = 10_000
	DefaultNamesPerAddress       = 1000
	DefaultViewersPerAddress     = 1000

	maxLimit = 10_000_000
)

// Limits are what clients may take up of the node. The limits for each address are not meant for this machine and for trusted
// proxies, which bring the clients of many addresses; 0 means that they are off.
type Limits struct {
	// Connections is the most connections of all listeners; 0 means as many as the limit of open files leaves. Protocols are the
	// most of each listener's protocol; one that is missing may have three quarters of all.
	Connections int
	Protocols   map[protocols.Protocol]int

	ConnectionsPerAddress int

	// DescriptorReserve is how many open files are kept from clients; 0 means a share of the limit of open files.
	DescriptorReserve int

	// RequestBody is the time for the whole body of an HTTP request.
	RequestBody time.Duration

	// Names is the most streams that publishers may have made of templates and in virtual hosts.
	Names, NamesPerAddress int

	// ViewersPerAddress is the most viewers of HLS that are counted of an address. All are served.
	ViewersPerAddress int
}

// limitDirectives are the rows of the limits for clients.
func limitDirectives() []directive {
	perAddress := func(field func(f *File) *int, byDefault int) value {
		return orWord("NUMBER", "off", "", 0, field, byDefault, func(s string) (int, error) { return parseCount(s, 1, maxLimit) }, strconv.Itoa)
	}
	list := []directive{
		{
			name: "connection_limit", in: inFile, reload: NewClients, example: "50000", defaultWords: "what the limit of open files leaves, see descriptor_reserve",
			value: number("NUMBER", func(f *File) *int { return &f.Limits.Connections }, 1, maxLimit),
			doc:   "The most connections of all protocols together; those of other nodes count too, and are never refused.",
		},
		{
			name: "connection_limit_per_address", in: inFile, reload: NewClients, example: "500", omitDefault: true,
			value: perAddress(func(f *File) *int { return &f.Limits.ConnectionsPerAddress }, DefaultConnectionsPerAddress),
			doc:   "The most connections of one address, or IPv6 /64 network, over all protocols; not for this machine and trusted_proxies.",
		},
	}
	for _, d := range protocols.Listeners() {
		list = append(list, directive{
			name: d.Directive() + "_connection_limit", in: inFile, reload: NewClients, example: "20000", defaultWords: "three quarters of connection_limit",
			value: protocolLimit(d.Protocol), doc: "The most connections of " + d.Title + ".",
		})
	}
	return append(
		list,
		directive{
			name: "descriptor_reserve", in: inFile, reload: NewClients, example: "256",
			defaultWords: "an eighth of the limit of open files, 1024 at most, or what the node needs for itself, and two for each stream that is fetched",
			value:        number("NUMBER", func(f *File) *int { return &f.Limits.DescriptorReserve }, 1, maxLimit),
			doc:          "How many open files clients leave for other nodes, the API, inputs and files, by fewer connections.",
		},
		directive{
			name: "request_body_timeout", in: inFile, reload: NewClients, example: "20000", omitDefault: true,
			value: millis(func(f *File) *time.Duration { return &f.Limits.RequestBody }, DefaultRequestBodyTimeout, 100),
			doc:   "How long the whole body of an HTTP request may take; the connection is closed then.",
		},
		directive{
			name: "name_limit", in: inFile, reload: NewClients, example: "200", omitDefault: true,
			value: single("NUMBER", func(f *File) *int { return &f.Limits.Names }, DefaultNames, func(s string) (int, error) { return parseCount(s, 1, maxLimit) }, strconv.Itoa),
			doc:   "The most streams that publishers may have made of templates and in virtual hosts; each lasts until a minute after its publisher.",
		},
		directive{
			name: "name_limit_per_address", in: inFile, reload: NewClients, example: "20", omitDefault: true,
			value: perAddress(func(f *File) *int { return &f.Limits.NamesPerAddress }, DefaultNamesPerAddress),
			doc:   "The most of these streams that one address may have made; not for this machine and trusted_proxies.",
		},
		directive{
			name: "hls_viewer_limit_per_address", in: inFile, reload: NewClients, example: "100", omitDefault: true,
			value: perAddress(func(f *File) *int { return &f.Limits.ViewersPerAddress }, DefaultViewersPerAddress),
			doc:   "The most viewers of HLS that are counted of one address; more are served. Not for this machine and trusted_proxies.",
		},
	)
}

// protocolLimit is the most connections of a protocol.
func protocolLimit(p protocols.Protocol) value {
	of := func(b *block) *Limits { return &part[*File](b).Limits }
	set := func(b *block, n int) {
		l := of(b)
		l.Protocols = maps.Clone(l.Protocols) // a file shares it with the one of which it is a copy
		if l.Protocols == nil {
			l.Protocols = map[protocols.Protocol]int{}
		}
		l.Protocols[p] = n
	}
	return value{
		args: "NUMBER", min: 1, max: 1,
		read: func(r *reader, b *block, c *call) {
			n, err := parseCount(c.args[0].text, 1, maxLimit)
			if err != nil {
				r.refuse(c.args[0].pos, c.name, err)
				return
			}
			set(b, n)
		},
		take: func(to, from *block) { set(to, of(from).Protocols[p]) },
		lines: func(b *block) [][]string {
			if n := of(b).Protocols[p]; n > 0 {
				return [][]string{{strconv.Itoa(n)}}
			}
			return nil
		},
	}
}
