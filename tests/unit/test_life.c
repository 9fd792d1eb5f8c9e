/* Who keeps an ephemeral store, on the level of files: the lock, the word and the name. */
#include "life.h"

#include "layout.h"
#include "platform.h"
#include "support/cr_must.h"
#include "support/sandbox.h"

#include <criterion/criterion.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

static struct sandbox box;
static const char *path;

/* A file that says of itself that it is an ephemeral store. */
static void set_up(void) {
    struct eddy_shm_super super = {.layout = EDDY_LAYOUT_MAJOR << 16,
                                   .flags = EDDY_SUPER_EPHEMERAL};
    eddy_st_rlx(&super.magic, EDDY_MAGIC);
    sandbox_make(&box);
    path = sandbox_file(&box, "store");
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    cr_assert_geq(fd, 0);
    must(eddy_platform_write(fd, &super, sizeof super, 0));
    close(fd);
}

TestSuite(life, .init = set_up);

static int description(bool read_only) {
    int fd = eddy_platform_open(path, read_only);
    cr_assert_geq(fd, 0);
    return fd;
}

static uint64_t ended(int fd) {
    uint64_t word = 0;
    cr_assert_eq(eddy_platform_read(fd, &word, sizeof word, offsetof(struct eddy_shm_super, ended)),
                 sizeof word);
    return word;
}

Test(life, nobody_has_it_so_it_has_ended, .timeout = 30) {
    for (int read_only = 0; read_only < 2; read_only++) {
        int fd = description(read_only);
        cr_assert_eq(eddy_life_join(fd, path, read_only), 0);
        cr_assert_eq(ended(fd), 1);
        cr_assert_eq(access(path, F_OK), -1);
        cr_assert_eq(eddy_life_join(fd, path, read_only), 0, "for ever");
        close(fd);
        set_up();
    }
}

Test(life, who_has_it_keeps_it_and_the_last_ends_it, .timeout = 30) {
    int maker = description(false);
    int other = description(false);
    int reader = description(true);
    int last = description(false);
    must(eddy_life_begin(maker));
    cr_assert_eq(eddy_life_join(other, path, false), 1);
    cr_assert_eq(eddy_life_join(reader, path, true), 1);
    eddy_life_leave(last, path);
    eddy_life_sweep(path);
    eddy_life_sweep_all(box.dir);
    cr_assert_eq(ended(last), 0);
    close(maker);
    close(other);
    eddy_life_leave(last, path);
    cr_assert_eq(ended(last), 0);
    close(reader);
    eddy_life_leave(last, path);
    cr_assert_eq(ended(last), 1);
    cr_assert_eq(access(path, F_OK), -1);
    close(last);
}

/* A death between the word and the name. */
Test(life, a_name_of_what_has_ended_is_taken_away, .timeout = 30) {
    uint64_t word = 1;
    int fd = description(false);
    must(eddy_platform_write(fd, &word, sizeof word, offsetof(struct eddy_shm_super, ended)));
    cr_assert_eq(eddy_life_join(fd, path, false), 0);
    cr_assert_eq(access(path, F_OK), -1);
    close(fd);
}

Test(life, a_sweep_takes_ephemeral_stores_alone, .timeout = 30) {
    struct eddy_shm_super super = {.layout = EDDY_LAYOUT_MAJOR << 16};
    int text = open(sandbox_file(&box, "text"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    int kept = open(sandbox_file(&box, "kept"), O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    eddy_st_rlx(&super.magic, EDDY_MAGIC);
    must(eddy_platform_write(text, "no store", 8, 0));
    must(eddy_platform_write(kept, &super, sizeof super, 0));
    must(mkfifo(sandbox_file(&box, "pipe"), 0600));
    must(symlink(path, sandbox_file(&box, "link")));
    must(link(path, sandbox_path(&box, "other")));
    eddy_life_sweep_all(box.dir);
    cr_assert_eq(access(path, F_OK), -1);
    const char *left[] = {"eddy.text", "eddy.kept", "eddy.pipe", "other"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        cr_assert_eq(access(sandbox_path(&box, left[i]), F_OK), 0, "%s", left[i]);
    }
    eddy_life_sweep_all(sandbox_path(&box, "nowhere"));
    close(text);
    close(kept);
}
