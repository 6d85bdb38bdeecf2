// What a job may reach, and a record of what it does: loaded and pinned by guard, attached to the cgroups of jobs.
//
// CO-RE: the few kernel structures used are declared here with the members used, and relocated when loaded.

#include <linux/bpf.h>
#include <stddef.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_tracing.h>

#define AF_INET 2
#define AF_INET6 10
#define SOCK_STREAM 1
#define SOCK_DGRAM 2
#define IPPROTO_ICMP 1
#define IPPROTO_TCP 6
#define IPPROTO_UDP 17
#define IPPROTO_ICMPV6 58
#define ETH_P_IP 0x0800
#define ETH_P_IPV6 0x86DD
#define TCP_SYN 0x02
#define TCP_ACK 0x10
#define DENY 0
#define ALLOW 1

// Kept in step with events.py and tables.py.
enum kind { KIND_EXEC = 1, KIND_EXIT = 2, KIND_CONTACT = 3, KIND_SOCKET = 4, KIND_DEVICE = 5 };
enum hook { HOOK_CONNECT = 1, HOOK_SEND = 2, HOOK_EGRESS = 3, HOOK_CUT = 4 };
#define LIMIT_NETWORK 1
#define LIMIT_DEVICES 2
#define NAME_LENGTH 256
#define RING (1 << 22)

struct job {
	__u32 flags;
	__s32 room;	 // how many events it may still cause; less than none when processors met at the last
	__u64 lost;	 // how many found no room, here or in the ring
};

// An address as IPv6; one of IPv4 in its mapped form, so that both spellings of it are one. Port 0: any.
struct destination {
	__u32 prefix;	 // bits of what follows
	__u64 cgroup;
	__u16 port;	 // network order
	__u8 address[16];
} __attribute__((packed));

struct device {
	__u64 cgroup;
	__u32 type;
	__u32 major;
	__u32 minor;
	__u32 unused;
};

struct event {
	__u64 cgroup;
	__u32 pid;
	__u8 kind;
	__u8 hook;
	__u8 denied;
	__u8 protocol;
	__u16 port;
	__u16 family;
	__u32 code;	 // exit status; socket type; device major and minor
	__u8 address[16];
	char name[NAME_LENGTH];	// of an execution only
};
#define WITHOUT_NAME offsetof(struct event, name)

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u64);
	__type(value, struct job);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} jobs SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_LPM_TRIE);
	__uint(max_entries, 65536);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct destination);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} allowed SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, 8192);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct device);
	__type(value, __u8);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} devices SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_RINGBUF);
	__uint(max_entries, RING);	// what one job may cause fits in several times
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} events SEC(".maps");

// One row: not 0 while the all-stop lets nothing leave any job, whatever its own rights are.
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u32);
	__uint(pinning, LIBBPF_PIN_BY_NAME);
} stop SEC(".maps");

struct linux_binprm {
	const char *filename;
} __attribute__((preserve_access_index));

struct task_struct {
	int pid;
	int tgid;
	int exit_code;
} __attribute__((preserve_access_index));

static __always_inline struct event *begin(struct job *job, __u64 cgroup, __u8 kind, int size)
{
	struct event *event;

	// Not exact when two processors are here at once: it is a bound, not a count.
	if (job->room <= 0) {
		__sync_fetch_and_add(&job->lost, 1);
		return 0;
	}
	event = bpf_ringbuf_reserve(&events, size, 0);
	if (!event) {
		__sync_fetch_and_add(&job->lost, 1);
		return 0;
	}
	job->room -= 1;
	__builtin_memset(event, 0, WITHOUT_NAME);
	event->cgroup = cgroup;
	event->kind = kind;
	event->pid = bpf_get_current_pid_tgid() >> 32;
	return event;
}

// Guard looks when a job ends, and every few seconds: it is woken only where much waits.
static __always_inline void submit(struct event *event)
{
	__u64 waits = bpf_ringbuf_query(&events, BPF_RB_AVAIL_DATA);

	bpf_ringbuf_submit(event, waits > RING / 8 ? BPF_RB_FORCE_WAKEUP : BPF_RB_NO_WAKEUP);
}

static __always_inline void map_four(__u8 *address, __u32 four)
{
	__builtin_memset(address, 0, 10);
	address[10] = address[11] = 0xff;
	__builtin_memcpy(address + 12, &four, 4);
}

static __always_inline int listed(struct destination *to)
{
	to->prefix = 8 * (sizeof(*to) - sizeof(to->prefix));
	if (bpf_map_lookup_elem(&allowed, to))
		return 1;
	to->port = 0;
	return bpf_map_lookup_elem(&allowed, to) != 0;
}

static __always_inline int stopped(void)
{
	__u32 row = 0, *word = bpf_map_lookup_elem(&stop, &row);

	return word && *word;
}

// Where the programs are attached each cgroup is a job's: one without a row has no rights any more, or not yet.
// `first`: whether this is a packet, or call, that begins something.
static __always_inline int judge(struct destination *to, __u8 hook, __u8 protocol, int first)
{
	struct job *job = bpf_map_lookup_elem(&jobs, &to->cgroup);
	__u16 port = to->port;
	struct event *event;
	int own, verdict;

	if (!job)
		return DENY;
	own = !(job->flags & LIMIT_NETWORK) || listed(to) ? ALLOW : DENY;
	verdict = own == ALLOW && !stopped() ? ALLOW : DENY;
	if (own == ALLOW && !first)
		return verdict;
	if (verdict != own)
		hook = HOOK_CUT;
	event = begin(job, to->cgroup, KIND_CONTACT, WITHOUT_NAME);
	if (event) {
		event->hook = hook;
		event->denied = verdict == DENY;
		event->protocol = protocol;
		event->port = port;
		__builtin_memcpy(event->address, to->address, 16);
		submit(event);
	}
	return verdict;
}

static __always_inline int four(struct bpf_sock_addr *ctx, __u8 hook)
{
	struct destination to = {.cgroup = bpf_get_current_cgroup_id(), .port = ctx->user_port};

	map_four(to.address, ctx->user_ip4);
	return judge(&to, hook, ctx->protocol, 1);
}

static __always_inline int six(struct bpf_sock_addr *ctx, __u8 hook)
{
	struct destination to = {.cgroup = bpf_get_current_cgroup_id(), .port = ctx->user_port};
	__u32 part[4] = {ctx->user_ip6[0], ctx->user_ip6[1], ctx->user_ip6[2], ctx->user_ip6[3]};

	__builtin_memcpy(to.address, part, 16);
	return judge(&to, hook, ctx->protocol, 1);
}

SEC("cgroup/connect4")
int on_connect4(struct bpf_sock_addr *ctx)
{
	return four(ctx, HOOK_CONNECT);
}

SEC("cgroup/connect6")
int on_connect6(struct bpf_sock_addr *ctx)
{
	return six(ctx, HOOK_CONNECT);
}

SEC("cgroup/sendmsg4")
int on_sendmsg4(struct bpf_sock_addr *ctx)
{
	return four(ctx, HOOK_SEND);
}

SEC("cgroup/sendmsg6")
int on_sendmsg6(struct bpf_sock_addr *ctx)
{
	return six(ctx, HOOK_SEND);
}

// A raw socket writes its own headers, and some protocols connect where no hook looks.
SEC("cgroup/sock_create")
int on_socket(struct bpf_sock *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct job *job = bpf_map_lookup_elem(&jobs, &cgroup);
	struct event *event;
	__u32 protocol = ctx->protocol;

	if (!job)
		return DENY;
	if (!(job->flags & LIMIT_NETWORK))
		return ALLOW;
	if (ctx->type == SOCK_STREAM && (protocol == 0 || protocol == IPPROTO_TCP))
		return ALLOW;
	if (ctx->type == SOCK_DGRAM && (protocol == 0 || protocol == IPPROTO_UDP || protocol == IPPROTO_ICMP ||
					protocol == IPPROTO_ICMPV6))
		return ALLOW;
	event = begin(job, cgroup, KIND_SOCKET, WITHOUT_NAME);
	if (event) {
		event->denied = 1;
		event->protocol = protocol;
		event->family = ctx->family;
		event->code = ctx->type;
		submit(event);
	}
	return DENY;
}

// The last line: every packet of a socket that was made in the job, whichever way it was told where to.
SEC("cgroup_skb/egress")
int on_egress(struct __sk_buff *skb)
{
	struct destination to = {.cgroup = bpf_skb_cgroup_id(skb)};
	__u8 protocol = 0, first = 0, flags = 0, fragment[2] = {};
	int begins;
	__u32 ports = 0, address;

	if (bpf_skb_load_bytes(skb, 0, &first, 1))
		return DENY;
	if (first >> 4 == 4) {
		if (bpf_skb_load_bytes(skb, 9, &protocol, 1) || bpf_skb_load_bytes(skb, 16, &address, 4) ||
		    bpf_skb_load_bytes(skb, 6, fragment, 2))
			return DENY;
		map_four(to.address, address);
		if (!(fragment[0] & 0x1f) && !fragment[1])
			ports = (first & 0xf) * 4;
	} else if (first >> 4 == 6) {
		if (bpf_skb_load_bytes(skb, 6, &protocol, 1) || bpf_skb_load_bytes(skb, 24, to.address, 16))
			return DENY;
		ports = 40;
	} else {
		return DENY;
	}
	if (ports && (protocol == IPPROTO_TCP || protocol == IPPROTO_UDP))
		bpf_skb_load_bytes(skb, ports + 2, &to.port, 2);
	// Of TCP the first packet: some connect where no other hook looks. What is sent by UDP is told when it is sent.
	if (ports && protocol == IPPROTO_TCP && !bpf_skb_load_bytes(skb, ports + 13, &flags, 1))
		begins = (flags & (TCP_SYN | TCP_ACK)) == TCP_SYN;
	else
		begins = protocol != IPPROTO_UDP && protocol != IPPROTO_TCP;
	return judge(&to, HOOK_EGRESS, protocol, begins);
}

SEC("cgroup/dev")
int on_device(struct bpf_cgroup_dev_ctx *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct job *job = bpf_map_lookup_elem(&jobs, &cgroup);
	struct device device = {.cgroup = cgroup, .type = ctx->access_type & 0xffff, .major = ctx->major};
	__u32 access = ctx->access_type >> 16;
	struct event *event;

	if (!job)
		return DENY;
	if (!(job->flags & LIMIT_DEVICES))
		return ALLOW;
	device.minor = ctx->minor;
	// null, zero, full, random, urandom; tty and ptmx; pseudo-terminals. Nobody makes a device file.
	if (device.type == BPF_DEVCG_DEV_CHAR && !(access & BPF_DEVCG_ACC_MKNOD)) {
		if (device.major == 1 && (device.minor == 3 || device.minor == 5 || (device.minor >= 7 && device.minor <= 9)))
			return ALLOW;
		if ((device.major == 5 && (device.minor == 0 || device.minor == 2)) || device.major == 136)
			return ALLOW;
		if (bpf_map_lookup_elem(&devices, &device))
			return ALLOW;
	}
	event = begin(job, cgroup, KIND_DEVICE, WITHOUT_NAME);
	if (event) {
		event->denied = 1;
		event->protocol = device.type;
		event->family = device.major;
		event->code = device.minor;
		submit(event);
	}
	return DENY;
}

SEC("raw_tp/sched_process_exec")
int on_exec(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct job *job = bpf_map_lookup_elem(&jobs, &cgroup);
	struct linux_binprm *program = (void *)ctx->args[2];
	struct event *event;

	if (!job)
		return 0;
	event = begin(job, cgroup, KIND_EXEC, sizeof(*event));
	if (!event)
		return 0;
	bpf_probe_read_kernel_str(event->name, NAME_LENGTH, BPF_CORE_READ(program, filename));
	submit(event);
	return 0;
}

SEC("raw_tp/sched_process_exit")
int on_exit(struct bpf_raw_tracepoint_args *ctx)
{
	__u64 cgroup = bpf_get_current_cgroup_id();
	struct job *job = bpf_map_lookup_elem(&jobs, &cgroup);
	struct task_struct *task = (void *)ctx->args[0];
	struct event *event;

	if (!job || BPF_CORE_READ(task, pid) != BPF_CORE_READ(task, tgid))
		return 0;
	event = begin(job, cgroup, KIND_EXIT, WITHOUT_NAME);
	if (!event)
		return 0;
	event->code = BPF_CORE_READ(task, exit_code);
	submit(event);
	return 0;
}

// bpf_probe_read_kernel is only for programs that say this.
char _license[] SEC("license") = "Dual MIT/GPL";
