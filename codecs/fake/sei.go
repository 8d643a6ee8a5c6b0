package fake

// identifier is the uuid_iso_iec_11578 of our SEI messages: a random (version 4) UUID.
var identifier = [16]byte{0x7c, 0x1e, 0x5b, 0x0f, 0x93, 0xd4, 0x4a, 0x62, 0xb1, 0x38, 0x5d, 0xe9, 0x06, 0xf2, 0xa7, 0x4c}

const seiUserData = 5 // user_data_unregistered (ITU-T H.264, D.1.7)

// seiPayload is the message for one access unit, its index in 64 bits behind the identifier.
func seiPayload(index int64) []byte {
	b := make([]byte, 0, 2+len(identifier)+8+1)
	b = append(b, seiUserData, byte(len(identifier)+8))
	b = append(b, identifier[:]...)
	for shift := 56; shift >= 0; shift -= 8 {
		b = append(b, byte(index>>shift))
	}
	return append(b, 0x80)
}
