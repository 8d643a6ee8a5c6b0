// Package amf holds the values of AMF0, the notation of RTMP's commands and of FLV's script data, and reads and
// writes them.
//
// It knows no command and no meaning of a key. What it reads may come from any host: depth and number of values are
// limited, and nothing is allocated for values that are announced but have not come.
package amf

import (
	"errors"
	"fmt"
	"slices"
)

// MaxDepth is how deep objects and arrays may be nested. Real commands use three levels.
const MaxDepth = 32

// MaxValues is how many values one body may hold. A value of one byte costs sixteen in memory, so that the number
// must be limited apart from the size; file indices in onMetaData reach some thousands.
const MaxValues = 1 << 14

// The errors of [Read], wrapped with the offset.
var (
	ErrTruncated   = errors.New("value is longer than the body")
	ErrTooDeep     = errors.New("values are nested too deep")
	ErrTooMany     = errors.New("too many values")
	ErrUnsupported = errors.New("unsupported type")
	ErrMalformed   = errors.New("object without end")
)

// Undefined is AMF0's undefined (AMF 0 specification, 2.8), also given for references and for "unsupported", which
// no live client needs.
type Undefined struct{}

// A Date is milliseconds since the Unix epoch, UTC (2.13).
type Date float64

// A Field is one property of an object.
type Field struct {
	Key   string
	Value any
}

// An Object is an anonymous or typed object (2.5, 2.18) in the order of the wire.
type Object []Field

// An ECMAArray is an associative array (2.10). It differs from an Object in its marker only.
type ECMAArray Object

// Get returns the value of key, nil if there is none.
func (o Object) Get(key string) any {
	for i := range o {
		if o[i].Key == key {
			return o[i].Value
		}
	}
	return nil
}

// String returns the string at key, "" if there is none.
func (o Object) String(key string) string {
	s, _ := o.Get(key).(string)
	return s
}

// Has says whether o has the key, whatever its value.
func (o Object) Has(key string) bool {
	return slices.ContainsFunc(o, func(f Field) bool { return f.Key == key })
}

// AsObject returns v's properties when it is an [Object] or an [ECMAArray].
func AsObject(v any) (Object, bool) {
	switch v := v.(type) {
	case Object:
		return v, true
	case ECMAArray:
		return Object(v), true
	}
	return nil, false
}

// The markers of AMF0 (2.1).
const (
	markNumber      = 0x00
	markBoolean     = 0x01
	markString      = 0x02
	markObject      = 0x03
	markNull        = 0x05
	markUndefined   = 0x06
	markReference   = 0x07
	markECMAArray   = 0x08
	markObjectEnd   = 0x09
	markStrictArray = 0x0A
	markDate        = 0x0B
	markLongString  = 0x0C
	markUnsupported = 0x0D
	markXML         = 0x0F
	markTypedObject = 0x10
)

// Read returns the values of a body, to its end: nil, bool, float64, string, [Undefined], [Date], [Object],
// [ECMAArray] or []any. Strings are copied, whatever bytes they hold; b is not kept.
//
// After an error the values before it are returned too.
func Read(b []byte) ([]any, error) {
	r := reader{b: b}
	var vs []any
	for r.pos < len(r.b) {
		v, err := r.value(0)
		if err != nil {
			return vs, fmt.Errorf("reading AMF0 at byte %d: %w", r.pos, err)
		}
		vs = append(vs, v)
	}
	return vs, nil
}
