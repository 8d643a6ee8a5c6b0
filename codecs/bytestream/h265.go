package bytestream

// hevc is the syntax of H.265. All that matters stands in the first three bytes of a NAL unit.
type hevc struct{}

// The NAL unit types that matter here only (table 7-1).
const (
	lastVCL        = 31
	hevcFirstSet   = 32
	hevcAUD        = 35
	hevcPrefixSEI  = 39
	hevcReserved41 = 41
	hevcReserved44 = 44
	hevcFirstUser  = 48
	hevcLastUser   = 55
)

func (hevc) enough() int     { return 3 }
func (hevc) header() int     { return 2 }
func (hevc) set([]byte) bool { return false }
func (hevc) learn([]byte)    {}
func (hevc) forget()         {}

func (hevc) role(b []byte) role {
	t, layer := b[0]>>1&0x3f, b[0]&1<<5|b[1]>>3
	switch {
	case t <= lastVCL && layer == 0 && len(b) > 2 && b[2]&0x80 != 0: // first_slice_segment_in_pic_flag
		return first
	case t <= lastVCL && layer == 0:
		return same
	case layer > 0:
		return trailing
	case t >= hevcFirstSet && t <= hevcAUD, t == hevcPrefixSEI, t >= hevcReserved41 && t <= hevcReserved44,
		t >= hevcFirstUser && t <= hevcLastUser:
		return leading
	}
	return trailing
}
