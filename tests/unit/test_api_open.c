/* eddy.h from outside: opening, naming, listing and removing stores. */
#include "eddy.h"
#include "support/check.h"
#include "support/child.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static eddy_options in(const struct sandbox *sandbox, uint32_t flags) {
    eddy_options options = EDDY_OPTIONS_INIT;
    options.flags = flags;
    options.dir = sandbox->dir;
    options.cap = SANDBOX_CAP;
    return options;
}

static int open_and_close(const char *name, const eddy_options *options) {
    eddy_store *store = (eddy_store *)&store; /* must not stay so */
    int rc = eddy_open(&store, name, options);
    cr_assert_eq(rc == 0, store != NULL);
    eddy_close(store);
    return rc;
}

static void append_named(eddy_store *store, const char *stream) {
    eddy_new_event event = {.data = eddy_str("x")};
    CHECK_OK(eddy_append(store, eddy_str(stream), EDDY_ANY, &event, 1, NULL));
}

static unsigned files_in(const struct sandbox *sandbox) {
    char line[300];
    snprintf(line, sizeof line, "exit $(ls -A '%s' | wc -l)", sandbox->dir);
    int status = system(line);
    return (unsigned)WEXITSTATUS(status);
}

Test(api_open, a_missing_store_is_made_and_found_again, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    eddy_store *store;
    gives(eddy_open(&store, "one", &options), 0);
    cr_assert_eq(sandbox_head(store), 0);
    append_named(store, "s");
    eddy_close(store);
    gives(eddy_open(&store, "one", &options), 0);
    cr_assert_eq(sandbox_head(store), 1);
    eddy_close(store);
    cr_assert_eq(files_in(&box), 1);
}

Test(api_open, an_empty_store_fits_in_4_mib, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    options.cap = 0; /* the default */
    gives(open_and_close("one", &options), 0);
    struct stat facts;
    cr_assert_eq(stat(sandbox_file(&box, "one"), &facts), 0);
    cr_assert_leq(facts.st_blocks * 512, 4 << 20);
    cr_assert_eq(facts.st_mode & 07777, 0600);
}

Test(api_open, flags_say_whether_it_must_or_must_not_exist, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options must_exist = in(&box, EDDY_MUST_EXIST);
    eddy_options exclusive = in(&box, EDDY_EXCLUSIVE);
    eddy_options read_only = in(&box, EDDY_READ_ONLY);
    gives(open_and_close("one", &must_exist), EDDY_ENOENT);
    has_text(eddy_errmsg(), "one");
    gives(open_and_close("one", &read_only), EDDY_ENOENT);
    cr_assert_eq(files_in(&box), 0);
    gives(open_and_close("one", &exclusive), 0);
    gives(open_and_close("one", &exclusive), EDDY_EEXIST);
    has_text(eddy_errmsg(), "one");
    gives(open_and_close("one", &must_exist), 0);
    gives(open_and_close("one", &read_only), 0);
    cr_assert_eq(files_in(&box), 1);
}

Test(api_open, options_out_of_bounds_are_refused, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options good = in(&box, 0);
    eddy_options bad[12];
    for (size_t i = 0; i < 12; i++) {
        bad[i] = good;
    }
    bad[0].cap = EDDY_CAP_MIN - 1;
    bad[1].cap = EDDY_CAP_MAX + 1;
    bad[2].members = 1;
    bad[3].members = 1025;
    bad[4].threads = 1;
    bad[5].threads = 8001;
    bad[6].reserved = 1;
    bad[7].flags = 0x80000000u;
    bad[8].size = 0;
    bad[9].size = 4;
    bad[10].mode = 010000;
    bad[11].flags = EDDY_MUST_EXIST | EDDY_EXCLUSIVE;
    for (size_t i = 0; i < 12; i++) {
        int rc = open_and_close("one", &bad[i]);
        cr_assert_eq(rc, EDDY_EINVAL, "options %zu: %s", i, eddy_errname(rc));
        cr_assert(eddy_errmsg()[0]);
    }
    cr_assert_eq(files_in(&box), 0);
}

Test(api_open, options_at_their_bounds_are_taken, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    options.cap = EDDY_CAP_MIN;
    options.members = 2;
    options.threads = 2;
    gives(open_and_close("small", &options), 0);
    options.cap = EDDY_CAP_MAX;
    options.members = 1024;
    options.threads = 8000;
    options.mode = 0660;
    eddy_store *store;
    must(eddy_open(&store, "large", &options));
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.cap, EDDY_CAP_MAX);
    cr_assert_eq(facts.members_max, 1024);
    cr_assert_eq(facts.threads_max, 8000);
    append_named(store, "s");
    eddy_close(store);
}

Test(api_open, options_of_a_store_that_exists_count_no_more, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    gives(open_and_close("one", &options), 0);
    options.cap = UINT64_C(8) << 20;
    options.members = 3;
    eddy_store *store;
    must(eddy_open(&store, "one", &options));
    eddy_facts facts = {.size = sizeof facts};
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.cap, SANDBOX_CAP);
    cr_assert_neq(facts.members_max, 3);
    eddy_close(store);
}

Test(api_open, mode_is_kept_whatever_the_umask, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    options.mode = 0664;
    umask(077);
    gives(open_and_close("one", &options), 0);
    struct stat facts;
    cr_assert_eq(stat(sandbox_file(&box, "one"), &facts), 0);
    cr_assert_eq(facts.st_mode & 07777, 0664);
}

Test(api_open, names_that_are_none_are_refused, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    char long_name[202];
    memset(long_name, 'n', 201);
    long_name[201] = '\0';
    const char *bad[] = {"",      "a/b",   "a/",    long_name,  "fd:",       "fd:x",
                         "fd:-1", "fd:1x", "pid:1", "pid:/fd:", "pid:x/fd:3"};
    for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
        int rc = open_and_close(bad[i], &options);
        cr_assert_eq(rc, EDDY_EINVAL, "'%s': %s", bad[i], eddy_errname(rc));
        cr_assert(eddy_errmsg()[0]);
    }
    gives(open_and_close("a/b", &options), EDDY_EINVAL);
    has_text(eddy_errmsg(), "a/b");
    cr_assert_eq(files_in(&box), 0);
    long_name[200] = '\0';
    gives(open_and_close(long_name, &options), 0);
}

Test(api_open, a_path_needs_no_directory_of_names, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = EDDY_OPTIONS_INIT;
    options.cap = SANDBOX_CAP;
    gives(open_and_close(sandbox_path(&box, "by-path"), &options), 0);
    cr_assert_eq(access(sandbox_path(&box, "by-path"), F_OK), 0);
    cr_assert_eq(chdir(box.dir), 0);
    options.flags = EDDY_MUST_EXIST;
    gives(open_and_close("./by-path", &options), 0);
    options.flags = 0;
    gives(open_and_close("./another", &options), 0);
    cr_assert_eq(access(sandbox_path(&box, "another"), F_OK), 0);
    gives(open_and_close("./no-such-dir/store", &options), EDDY_ENOENT);
    has_text(eddy_errmsg(), "no-such-dir");
}

Test(api_open, the_environment_names_directory_and_store, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    setenv("EDDY_DIR", box.dir, 1);
    setenv("EDDY_STORE", "from-env", 1);
    gives(open_and_close(NULL, NULL), 0);
    cr_assert_eq(access(sandbox_file(&box, "from-env"), F_OK), 0);
    unsetenv("EDDY_STORE");
    gives(open_and_close(NULL, NULL), 0);
    cr_assert_eq(access(sandbox_file(&box, "default"), F_OK), 0);
    setenv("EDDY_STORE", "", 1);
    eddy_options must_exist = in(&box, EDDY_MUST_EXIST);
    gives(open_and_close(NULL, &must_exist), 0);
    setenv("EDDY_STORE", "bad/name", 1);
    gives(open_and_close(NULL, NULL), EDDY_EINVAL);
}

Test(api_open, an_anonymous_store_has_no_name_and_is_not_shared, .timeout = 20) {
    eddy_store *a = sandbox_anonymous();
    eddy_store *b = sandbox_anonymous();
    append_named(a, "s");
    cr_assert_eq(sandbox_head(a), 1);
    cr_assert_eq(sandbox_head(b), 0);
    cr_assert_geq(fcntl(eddy_store_fd(a), F_GETFD), 0);
    cr_assert(fcntl(eddy_store_fd(a), F_GETFD) & FD_CLOEXEC);
    cr_assert_neq(ftruncate(eddy_store_fd(a), 0), 0, "it can be shrunk");
    eddy_close(a);
    eddy_close(b);
}

Test(api_open, a_descriptor_opens_the_same_store, .timeout = 20) {
    eddy_store *a = sandbox_anonymous();
    append_named(a, "s");
    eddy_store *b = sandbox_again(a, 0);
    append_named(b, "s");
    cr_assert_eq(sandbox_head(a), 2);
    eddy_store *r = sandbox_again(a, EDDY_READ_ONLY);
    cr_assert_eq(sandbox_head(r), 2);
    char name[32];
    snprintf(name, sizeof name, "fd:%d", eddy_store_fd(a));
    eddy_options exclusive = EDDY_OPTIONS_INIT;
    exclusive.flags = EDDY_EXCLUSIVE;
    gives(open_and_close(name, &exclusive), EDDY_EEXIST);
    eddy_close(a);
    append_named(b, "s");
    cr_assert_eq(sandbox_head(r), 3);
    eddy_close(r);
    eddy_close(b);
}

Test(api_open, a_descriptor_that_is_no_store_is_refused, .timeout = 20) {
    char name[32];
    gives(open_and_close("fd:987", NULL), EDDY_ENOENT);
    has_text(eddy_errmsg(), "987");
    int fd = memfd_create("no-store", MFD_CLOEXEC);
    snprintf(name, sizeof name, "fd:%d", fd);
    gives(open_and_close(name, NULL), EDDY_ENOTSTORE);
    int ends[2];
    cr_assert_eq(pipe(ends), 0);
    snprintf(name, sizeof name, "fd:%d", ends[0]);
    int rc = open_and_close(name, NULL);
    cr_assert(rc == EDDY_ENOTSTORE || rc == EDDY_EINVAL, "%s", eddy_errname(rc));
}

struct by_pid {
    pid_t pid;
    int fd;
};

static void open_by_pid(void *arg) {
    const struct by_pid *by = arg;
    char name[64];
    snprintf(name, sizeof name, "pid:%d/fd:%d", (int)by->pid, by->fd);
    eddy_store *store;
    CHECK_OK(eddy_open(&store, name, NULL));
    append_named(store, "from-child");
    eddy_close(store);
}

Test(api_open, a_descriptor_of_another_process_opens_its_store, .timeout = 20) {
    eddy_store *store = sandbox_anonymous();
    struct by_pid by = {getpid(), eddy_store_fd(store)};
    cr_assert_eq(child_run(open_by_pid, &by), 0);
    cr_assert_eq(sandbox_head(store), 1);
    gives(open_and_close("pid:999999999/fd:3", NULL), EDDY_ENOENT);
    eddy_close(store);
}

static void write_file(const struct sandbox *box, const char *name, const char *bytes, size_t len) {
    int fd = open(sandbox_file(box, name), O_CREAT | O_WRONLY | O_TRUNC, 0600);
    CHECK(fd >= 0);
    CHECK_EQ(write(fd, bytes, len), len);
    close(fd);
}

Test(api_open, what_is_no_store_is_refused_and_left_alone, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    char zeros[70000] = "";
    write_file(&box, "text", "hello\n", 6);
    write_file(&box, "empty", "", 0);
    write_file(&box, "zeros", zeros, sizeof zeros);
    const char *names[] = {"text", "empty", "zeros"};
    off_t sizes[] = {6, 0, sizeof zeros};
    for (size_t i = 0; i < 3; i++) {
        gives(open_and_close(names[i], &options), EDDY_ENOTSTORE);
        has_text(eddy_errmsg(), names[i]);
        gives(eddy_unlink(names[i], &options), EDDY_ENOTSTORE);
        struct stat facts;
        cr_assert_eq(stat(sandbox_file(&box, names[i]), &facts), 0);
        cr_assert_eq(facts.st_size, sizes[i]);
    }
    cr_assert_eq(mkdir(sandbox_file(&box, "dir"), 0700), 0);
    int rc = open_and_close("dir", &options);
    cr_assert(rc == EDDY_ENOTSTORE || rc == EDDY_EACCESS, "%s", eddy_errname(rc));
}

Test(api_open, a_store_that_was_cut_off_is_refused, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    gives(open_and_close("one", &options), 0);
    struct stat facts;
    cr_assert_eq(stat(sandbox_file(&box, "one"), &facts), 0);
    off_t cuts[] = {facts.st_size - 1, facts.st_size / 2, 70000, 4096, 100, 8};
    for (size_t i = 0; i < sizeof cuts / sizeof cuts[0]; i++) {
        cr_assert_eq(truncate(sandbox_file(&box, "one"), cuts[i]), 0);
        int rc = open_and_close("one", &options);
        cr_assert(rc == EDDY_ENOTSTORE || rc == EDDY_ECORRUPT, "cut at %lld: %s",
                  (long long)cuts[i], eddy_errname(rc));
        has_text(eddy_errmsg(), "one");
    }
}

static void open_as_nobody(void *arg) {
    const struct sandbox *box = arg;
    CHECK(getuid() != 0 || (setgid(65534) == 0 && setuid(65534) == 0));
    eddy_options options = EDDY_OPTIONS_INIT;
    options.dir = box->dir;
    eddy_store *store;
    CHECK_EQ(eddy_open(&store, "mine", &options), EDDY_EACCESS);
    CHECK(strstr(eddy_errmsg(), "mine"));
    CHECK_EQ(eddy_open(&store, "new", &options), EDDY_EACCESS);
    CHECK_EQ(eddy_unlink("mine", &options), EDDY_EACCESS);
    CHECK_EQ(eddy_open(&store, "shown", &options), EDDY_EACCESS);
    options.flags = EDDY_READ_ONLY;
    CHECK_OK(eddy_open(&store, "shown", &options));
    CHECK_EQ(sandbox_head(store), 1);
    eddy_close(store);
}

Test(api_open, permissions_are_honoured_and_0444_can_be_read, .timeout = 20) {
    if (getuid() != 0) {
        skip_test("needs root, to become somebody else");
    }
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *mine = sandbox_open(&box, "mine", 0);
    eddy_store *shown = sandbox_open(&box, "shown", 0);
    append_named(shown, "s");
    eddy_close(mine);
    eddy_close(shown);
    cr_assert_eq(chmod(sandbox_file(&box, "shown"), 0444), 0);
    cr_assert_eq(child_run(open_as_nobody, &box), 0);
}

Test(api_open, unlinking_takes_the_name_and_leaves_the_store_to_its_users, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    eddy_store *store = sandbox_open(&box, "one", 0);
    eddy_facts facts = {.size = sizeof facts};
    append_named(store, "s");
    must(eddy_info(store, &facts));
    cr_assert_not(facts.unlinked);
    gives(eddy_unlink("one", &options), 0);
    gives(eddy_unlink("one", &options), EDDY_ENOENT);
    append_named(store, "s");
    must(eddy_info(store, &facts));
    cr_assert_eq(facts.head, 2);
    cr_assert(facts.unlinked);
    eddy_store *other = sandbox_open(&box, "one", EDDY_EXCLUSIVE);
    cr_assert_eq(sandbox_head(other), 0);
    eddy_close(other);
    eddy_close(store);
    gives(eddy_unlink("fd:3", &options), EDDY_EINVAL);
    gives(eddy_unlink("pid:1/fd:3", &options), EDDY_EINVAL);
    gives(eddy_unlink("a/b", &options), EDDY_EINVAL);
}

struct listed {
    char names[8][32];
    int count;
    int stop_at;
};

static int list_one(void *arg, const eddy_found *found) {
    struct listed *listed = arg;
    snprintf(listed->names[listed->count++], 32, "%s", found->name);
    CHECK(strstr(found->path, found->name));
    CHECK_EQ(found->mode & 0777, 0600);
    CHECK_EQ(found->uid, getuid());
    CHECK(found->bytes > 0 && found->modified_ns > 0);
    return listed->count == listed->stop_at ? 42 : 0;
}

Test(api_open, stores_are_listed_in_byte_order_and_nothing_else_is, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    struct listed none = {0};
    gives(eddy_list(box.dir, list_one, &none), 0);
    cr_assert_eq(none.count, 0);
    const char *names[] = {"b", "a-2", "B", "a-10"};
    for (size_t i = 0; i < 4; i++) {
        eddy_close(sandbox_open(&box, names[i], 0));
    }
    write_file(&box, "a-file", "no store", 8);
    struct listed all = {0};
    gives(eddy_list(box.dir, list_one, &all), 0);
    cr_assert_eq(all.count, 4);
    cr_assert_str_eq(all.names[0], "B");
    cr_assert_str_eq(all.names[1], "a-10");
    cr_assert_str_eq(all.names[2], "a-2");
    cr_assert_str_eq(all.names[3], "b");
    struct listed two = {.stop_at = 2};
    gives(eddy_list(box.dir, list_one, &two), 42);
    cr_assert_eq(two.count, 2);
    gives(eddy_list(sandbox_path(&box, "no-dir"), list_one, &none), EDDY_ENOENT);
}

Test(api_open, two_handles_of_a_process_are_one_store, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *a = sandbox_open(&box, "one", 0);
    eddy_store *b = sandbox_open(&box, "one", 0);
    for (int i = 0; i < 100; i++) {
        append_named(i % 2 ? a : b, "s");
    }
    cr_assert_eq(sandbox_head(a), 100);
    cr_assert_eq(sandbox_head(b), 100);
    uint32_t dead;
    cr_assert_eq(sandbox_members(a, &dead), 2);
    cr_assert_eq(dead, 0);
    eddy_close(a);
    append_named(b, "s");
    cr_assert_eq(sandbox_members(b, &dead), 1);
    sandbox_check(b);
    eddy_close(b);
}

Test(api_open, more_members_than_there_is_room_for_are_refused, .timeout = 20) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_options options = in(&box, 0);
    options.members = 2;
    eddy_store *stores[3];
    must(eddy_open(&stores[0], "one", &options));
    must(eddy_open(&stores[1], "one", &options));
    append_named(stores[0], "s");
    append_named(stores[1], "s");
    gives(eddy_open(&stores[2], "one", &options), EDDY_ELIMIT);
    cr_assert_null(stores[2]);
    has_text(eddy_errmsg(), "2");
    options.flags = EDDY_READ_ONLY;
    must(eddy_open(&stores[2], "one", &options)); /* takes no slot */
    cr_assert_eq(sandbox_head(stores[2]), 2);
    eddy_close(stores[2]);
    eddy_close(stores[0]);
    options.flags = 0;
    must(eddy_open(&stores[2], "one", &options));
    append_named(stores[2], "s");
    eddy_close(stores[1]);
    eddy_close(stores[2]);
}

Test(api_open, opening_a_thousand_times_takes_no_memory_of_the_store, .timeout = 60) {
    struct sandbox box;
    sandbox_make(&box);
    eddy_store *keep = sandbox_open(&box, "one", 0);
    append_named(keep, "s");
    eddy_facts before = {.size = sizeof before};
    eddy_facts after = {.size = sizeof after};
    for (int i = 0; i < 1000; i++) {
        eddy_store *store = sandbox_open(&box, "one", 0);
        append_named(store, "s");
        eddy_close(store);
        if (i == 200) {
            must(eddy_info(keep, &before));
        }
    }
    must(eddy_info(keep, &after));
    cr_assert_eq(after.head, 1001);
    cr_assert_leq(after.reserved, before.reserved + (8u << 20));
    eddy_close(keep);
}
