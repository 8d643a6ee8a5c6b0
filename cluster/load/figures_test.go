package load

import "testing"

func TestFiguresOfTheMachineAreRead(t *testing.T) {
	f := Read()
	if f.CPUs < 1 || f.RAM == 0 || f.RAMUsed <= 0 || f.RAMUsed > 1 || f.Own.Memory < 1<<20 || f.ParentPID == 0 || f.Args == "" || f.Dir == "" {
		t.Errorf("figures = %+v", f)
	}
}
