package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Append appends values to dst: those that [Read] returns, and int for a number. A string of more than 65,535 bytes
// becomes a long string; a key is cut there. Any other type is a fault of the program and panics.
func Append(dst []byte, values ...any) []byte {
	for _, v := range values {
		dst = appendValue(dst, v)
	}
	return dst
}

func appendValue(dst []byte, v any) []byte {
	switch v := v.(type) {
	case nil:
		return append(dst, markNull)
	case Undefined:
		return append(dst, markUndefined)
	case bool:
		if v {
			return append(dst, markBoolean, 1)
		}
		return append(dst, markBoolean, 0)
	case int:
		return appendNumber(append(dst, markNumber), float64(v))
	case float64:
		return appendNumber(append(dst, markNumber), v)
	case Date:
		return append(appendNumber(append(dst, markDate), float64(v)), 0, 0)
	case string:
		if len(v) > math.MaxUint16 {
			dst = binary.BigEndian.AppendUint32(append(dst, markLongString), uint32(len(v)))
			return append(dst, v...)
		}
		return appendKey(append(dst, markString), v)
	case Object:
		return appendFields(append(dst, markObject), v)
	case ECMAArray:
		dst = binary.BigEndian.AppendUint32(append(dst, markECMAArray), uint32(len(v)))
		return appendFields(dst, Object(v))
	case []any:
		dst = binary.BigEndian.AppendUint32(append(dst, markStrictArray), uint32(len(v)))
		return Append(dst, v...)
	default:
		panic(fmt.Sprintf("amf: cannot write %T", v))
	}
}

func appendNumber(dst []byte, f float64) []byte {
	return binary.BigEndian.AppendUint64(dst, math.Float64bits(f))
}

func appendKey(dst []byte, s string) []byte {
	if len(s) > math.MaxUint16 {
		s = s[:math.MaxUint16]
	}
	dst = binary.BigEndian.AppendUint16(dst, uint16(len(s)))
	return append(dst, s...)
}

func appendFields(dst []byte, o Object) []byte {
	for i := range o {
		if o[i].Key == "" {
			continue // the empty key ends an object
		}
		dst = appendKey(dst, o[i].Key)
		dst = appendValue(dst, o[i].Value)
	}
	return append(dst, 0, 0, markObjectEnd)
}
