package peer

import (
	"net"
	"os"
	"testing"
)

func TestOf(t *testing.T) {
	l, err := net.Listen("unix", t.TempDir()+"/s")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	conn, err := net.Dial("unix", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	if cred := Of(conn.(*net.UnixConn)); cred == nil || int(cred.Pid) != os.Getpid() || int(cred.Uid) != os.Geteuid() {
		t.Errorf("it is %+v, want ourselves", cred)
	}
	conn.Close()
	if cred := Of(conn.(*net.UnixConn)); cred != nil {
		t.Errorf("of a closed connection it is %+v", cred)
	}
}
